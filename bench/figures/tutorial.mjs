// The tutorial's three programs against ours, on the same clip and model, one viewer each.
import { freePort, startAgent, startRelay, startTutorialClient, startTutorialServer } from '../lib/programs.mjs';
import { measure } from '../lib/stack.mjs';
import { usage } from '../lib/usage.mjs';

export const title = "The tutorial's three programs and ours: same clip, same model, 20 fps, one viewer";

/** The tutorial's own default. */
const fps = 20;

const streamerArgs = ['--use-streamer', '--streamer-host', '127.0.0.1', '--streamer-port', 0];

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

  const streamer = startAgent({ fps, args: streamerArgs });
  [, streamer.url] = await streamer.line(/open (http:\S+)/);
  const noRelay = await measure(streamer, null, time);

  const row = (what, unit, pick, without = []) => {
    const measured = {
      'their three': theirs, 'our agent, their server': agentAlone, 'their client, our relay': relayAlone, 'our streamer': noRelay,
    };
    const others = Object.entries(measured).map(([name, of]) => [name, without.includes(name) ? undefined : pick(of)]);
    return { what, unit, ours: pick(ours), others: Object.fromEntries(others) };
  };
  // Our agent's tutorial wire carries no capture time.
  const delay = (what, key) => row(`delay, ${what}`, 'ms', ({ delay_ms: delays }) => delays[key], ['our agent, their server']);
  // A streamer is both in one.
  const ofServer = (what, unit, key) => row(`server: ${what}`, unit, ({ server: spent }) => spent[key], ['our streamer']);
  return [
    row('frames at the viewer', 'fps', (measured) => measured.fps.min),
    row('frames searched for objects', 'fps', ({ searched }) => searched),
    delay('median', 'p50'),
    delay('99th percentile', 'p99'),
    row('bytes per frame to the viewer', 'kB', (measured) => measured.kb_per_frame),
    row('client: processor time per frame at the viewer', 'ms', ({ client }) => client.msPerPicture),
    row('client: processor use', '% of one core', ({ client }) => client.percent),
    row('client: memory', 'MB', ({ client }) => client.mb),
    ofServer('processor time per frame at the viewer', 'ms', 'msPerPicture'),
    ofServer('memory', 'MB', 'mb'),
    await idleStreamer(seconds),
  ];
}

/** `--use-streamer` while nobody watches: what it adds to an agent that only captures and detects. */
async function idleStreamer(seconds) {
  // One thread each, and both at once: what disturbs one disturbs the other.
  const detecting = { port: await freePort(), args: ['--detect-fps', 10, '--threads', 1] };
  const agents = [startAgent(detecting), startAgent({ args: [...detecting.args, ...streamerArgs] })];
  const spent = await Promise.all(agents.map(({ pid }) => usage(pid, seconds(5), seconds(15))));
  await Promise.all(agents.map((agent) => agent.stop()));
  const [without, idle] = spent.map(({ cpuSeconds }) => (cpuSeconds / seconds(15)) * 100);
  return {
    what: '--use-streamer and nobody watches (10 detections a second)', unit: '% of one core', ours: idle,
    bound: `<= 1.1 x ${without.toFixed(2)} without`, met: idle <= without * 1.1,
  };
}
