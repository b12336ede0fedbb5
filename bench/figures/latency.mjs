// From capture to the viewer's socket, while the detector takes what it can of the same two cores.
import { startAgent, startRelay, startTutorialClient, startTutorialServer } from '../lib/programs.mjs';
import { measure } from '../lib/stack.mjs';
import { below } from '../lib/table.mjs';

export const title = "Delay from capture to the viewer's socket, with detection running on the same cores (30 fps)";

export async function run({ seconds }) {
  const warmup = seconds(5);
  const relay = await startRelay();
  const ours = await measure(relay, () => startAgent({ port: relay.port }), { warmup, seconds: seconds(30) });
  await relay.stop();
  // At its own rate: at 30 fps its server falls behind as soon as anything else runs, and never recovers.
  const server = await startTutorialServer();
  const theirs = await measure(server, () => startTutorialClient(server.port, { fps: 20 }), { warmup, seconds: seconds(15), wire: 'tutorial' });
  await server.stop();

  const row = (what, key, bound) => ({
    what, unit: 'ms', ours: ours.delay_ms[key], others: { 'tutorial at 20 fps': theirs.delay_ms[key] },
    ...(bound ? { bound: `< ${bound}`, met: below(ours.delay_ms[key], bound) } : {}),
  });
  return [
    row('median', 'p50', 5),
    row('99th percentile', 'p99', 15),
    row('longest', 'max'),
    { what: 'rate', unit: 'fps', ours: ours.fps.min, others: { 'tutorial at 20 fps': theirs.fps.min } },
  ];
}
