// What the agent costs per picture, with and without detection, beside the tutorial's CV client.
import { setTimeout as sleep } from 'node:timers/promises';
import { agentStages, startAgent, startRelay, startTutorialClient, startTutorialServer } from '../lib/programs.mjs';
import { measure } from '../lib/stack.mjs';

export const title = 'Agent: processor time and memory (clip, 640x480 at 30 fps, one viewer)';

export async function run({ seconds }) {
  const time = { seconds: seconds(15), warmup: seconds(5) };
  const relay = await startRelay();
  const ours = (options) => measure(relay, () => startAgent({ port: relay.port, ...options }), time);
  const plain = await ours({ detect: false });
  const [detecting, detections] = await Promise.all([ours({}), detectionRate(relay, time)]);
  await relay.stop();

  const server = await startTutorialServer();
  const theirs = (detect) => measure(server, () => startTutorialClient(server.port, { detect }), { wire: 'tutorial', ...time });
  const theirPlain = await theirs(false);
  const theirDetecting = await theirs(true);
  await server.stop();
  const stages = agentStages().filter(({ stage }) => !stage.startsWith('capture'));

  const name = "tutorial's client";
  const row = (what, unit, mine, other, bound, met) => ({
    what, unit, ours: mine, others: { [name]: other }, ...(bound ? { bound, met } : {}),
  });
  return [
    row('without detection: processor time per frame', 'ms', plain.client.msPerPicture, theirPlain.client.msPerPicture, '< 1', plain.client.msPerPicture < 1),
    row('without detection: resident memory', 'MB', plain.client.mb, theirPlain.client.mb, '< 40', plain.client.mb < 40),
    row('without detection: frames at the viewer', 'fps', plain.fps.min, theirPlain.fps.min),
    row('with detection: processor use', '% of one core', detecting.client.percent, theirDetecting.client.percent),
    row('with detection: detections a second', '', detections, theirDetecting.fps.min),
    row('with detection: processor time per detection, streaming included', 'ms', (detecting.client.percent * 10) / detections, (theirDetecting.client.percent * 10) / theirDetecting.fps.min),
    row('with detection: resident memory', 'MB', detecting.client.mb, theirDetecting.client.mb),
    row('with detection: frames at the viewer', 'fps', detecting.fps.min, theirDetecting.fps.min),
    ...stages.map(({ stage, median_ms: ms }) => ({ what: `stage by itself (cv-agent bench, median): ${stage}`, unit: 'ms', ours: ms })),
    row('bytes per frame to the viewer', 'kB', plain.kb_per_frame, theirPlain.kb_per_frame),
  ];
}

/** Detections that reach the relay in a second; the tutorial's client makes one for each picture. */
async function detectionRate(relay, { warmup, seconds }) {
  const count = async () => {
    const text = await (await fetch(`${relay.url}/metrics`)).text();
    return Number(/^cv_relay_detections_in_total\{.*\} (\d+)$/m.exec(text)?.[1]);
  };
  await sleep((warmup + 1) * 1000);
  const [first, start] = [await count(), performance.now()];
  await sleep(seconds * 1000);
  return ((await count()) - first) / ((performance.now() - start) / 1000);
}
