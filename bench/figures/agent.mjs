// What the agent costs per picture, with and without detection, beside the tutorial's CV client.
import { startAgent, startRelay, startTutorialClient, startTutorialServer } from '../lib/programs.mjs';
import { measure } from '../lib/stack.mjs';

export const title = 'Agent: processor time and memory (clip, 640x480 at 30 fps, one viewer)';

export async function run({ seconds }) {
  const time = { seconds: seconds(15), warmup: seconds(5) };
  const relay = await startRelay();
  const ours = (options) => measure(relay, () => startAgent({ port: relay.port, ...options }), time);
  const plain = await ours({ detect: false });
  const detecting = await ours({});
  await relay.stop();

  const server = await startTutorialServer();
  const theirs = (detect) => measure(server, () => startTutorialClient(server.port, { detect }), { wire: 'tutorial', ...time });
  const theirPlain = await theirs(false);
  const theirDetecting = await theirs(true);
  await server.stop();

  const name = "tutorial's client";
  const row = (what, unit, mine, other, bound, met) => ({
    what, unit, ours: mine, others: { [name]: other }, ...(bound ? { bound, met } : {}),
  });
  return [
    row('without detection: processor time per picture', 'ms', plain.client.msPerPicture, theirPlain.client.msPerPicture, '< 1', plain.client.msPerPicture < 1),
    row('without detection: resident memory', 'MB', plain.client.mb, theirPlain.client.mb, '< 40', plain.client.mb < 40),
    row('without detection: pictures at the viewer', 'fps', plain.fps.min, theirPlain.fps.min),
    row('with detection: processor use', '% of one core', detecting.client.percent, theirDetecting.client.percent),
    row('with detection: resident memory', 'MB', detecting.client.mb, theirDetecting.client.mb),
    row('with detection: pictures at the viewer', 'fps', detecting.fps.min, theirDetecting.fps.min),
    row('bytes per picture to the viewer', 'kB', plain.kb_per_frame, theirPlain.kb_per_frame),
  ];
}
