// The tutorial's three programs against ours, on the same clip and model, one viewer each.
import { startAgent, startRelay, startTutorialClient, startTutorialServer } from '../lib/programs.mjs';
import { measure } from '../lib/stack.mjs';
import { usage } from '../lib/usage.mjs';

export const title = "The tutorial's three programs and ours: same clip, same model, 20 fps, one viewer";

/** The tutorial's own default. */
const fps = 20;

export async function run({ seconds }) {
  const time = { seconds: seconds(15), warmup: seconds(5) };
  const tutorial = { wire: 'tutorial', ...time };

  const relay = await startRelay();
  const ours = await measure(relay, () => startAgent({ port: relay.port, fps }), time);
  await relay.stop();
  const server = await startTutorialServer();
  const theirs = await measure(server, () => startTutorialClient(server.port, { fps }), tutorial);
  await server.stop();

  // One program replaced at a time.
  const keptServer = await startTutorialServer();
  const agentAlone = await measure(keptServer, () => startAgent({ port: keptServer.port, fps, args: ['--wire', 'tutorial'] }), tutorial);
  await keptServer.stop();
  const newRelay = await startRelay();
  const relayAlone = await measure(newRelay, () => startTutorialClient(newRelay.port, { fps }), tutorial);
  await newRelay.stop();

  const row = (what, unit, pick) => ({
    what, unit, ours: pick(ours),
    others: { 'their three': pick(theirs), 'our agent, their server': pick(agentAlone), 'their client, our relay': pick(relayAlone) },
  });
  // Our agent's tutorial wire carries no capture time.
  const delay = (key) => ({ ...row('', 'ms', ({ delay_ms: delays }) => delays[key]) });
  const without = (entry, name) => ({ ...entry, others: { ...entry.others, [name]: '' } });
  return [
    row('pictures at the viewer', 'fps', (measured) => measured.fps.min),
    without({ ...delay('p50'), what: 'delay, median' }, 'our agent, their server'),
    without({ ...delay('p99'), what: 'delay, 99th percentile' }, 'our agent, their server'),
    row('bytes per picture to the viewer', 'kB', (measured) => measured.kb_per_frame),
    row('client: processor time per picture', 'ms', ({ client }) => client.msPerPicture),
    row('client: processor use', '% of one core', ({ client }) => client.percent),
    row('client: memory', 'MB', ({ client }) => client.mb),
    row('server: processor time per picture', 'ms', (measured) => measured.server.msPerPicture),
    row('server: memory', 'MB', (measured) => measured.server.mb),
    await streamer(seconds),
  ];
}

/** `--use-streamer` while nobody watches: what it adds to an agent that only detects. */
async function streamer(seconds) {
  const spend = async (args) => {
    const agent = startAgent({ args: ['--detect-fps', 10, ...args] });
    const { cpuSeconds } = await usage(agent.pid, seconds(5), seconds(15));
    await agent.stop();
    return (cpuSeconds / seconds(15)) * 100;
  };
  const without = await spend([]);
  const idle = await spend(['--use-streamer', '--streamer-port', 0]);
  return {
    what: '--use-streamer and nobody watches (10 detections a second)', unit: '% of one core', ours: idle,
    bound: `<= 1.1 x ${without.toFixed(2)} without`, met: idle <= without * 1.1,
  };
}
