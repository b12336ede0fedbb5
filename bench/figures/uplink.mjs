// The board's link is too slow for its camera: delay and rate at the viewer, and the way back.
// Ours and the tutorial's programs at once, each on a link of its own with the same limit.
import { setTimeout as sleep } from 'node:timers/promises';
import { Link } from '../lib/links.mjs';
import { CLIP_FPS, startAgent, startLoad, startRelay, startTutorialClient, startTutorialServer, stopAll } from '../lib/programs.mjs';

export const title = 'A slow uplink (token bucket, 200 ms of queue), then its recovery';

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
/** Longest delay of what came in the periods. */
const longest = (periods) => {
  const delays = periods.map(({ delay_ms: { max } }) => max).filter((max) => max !== null);
  return delays.length > 0 ? Math.max(...delays) : Infinity;
};
const without = (periods) => periods.filter(({ delivered }) => delivered === 0).length;
const rates = (periods) => periods.map(({ fps }) => fps.min);

/** What follows the change of the link itself, in which the queue that it leaves behind must drain. */
const settled = (periods) => periods.slice(3);

export async function run({ seconds }) {
  const [mine, theirs] = [new Link(), new Link()];
  const relay = await startRelay({ namespace: mine.server, host: mine.serverAddress });
  const server = await startTutorialServer({ namespace: theirs.server, host: theirs.serverAddress });
  // Both watch from before the first picture to the end: the tutorial's server, once busy, lets nobody in.
  const watch = { every: 1, warmup: 0, reconnect: true, seconds: 24 * 3600 };
  const viewer = startLoad({ url: relay.url, namespace: mine.server, ...watch });
  const page = startLoad({ url: server.url, namespace: theirs.server, wire: 'tutorial', ...watch });
  await server.line(/Web client connected/);
  startAgent({ namespace: mine.board, host: mine.serverAddress, port: relay.port, detect: false });
  startTutorialClient(server.port, { namespace: theirs.board, host: theirs.serverAddress, detect: false });
  await Promise.all([viewer.line(/"t":/, 60_000), page.line(/"t":/, 60_000)]);

  /** What both viewers saw in the next `time` seconds, a line a second. */
  const phase = async (time) => {
    const from = [viewer, page].map((load) => load.periods().length);
    const before = mine.sentBytes();
    await sleep(time * 1000);
    const [ours, their] = [viewer, page].map((load, index) => load.periods().slice(from[index]));
    return { ours, their, bytesPerSecond: (mine.sentBytes() - before) / time };
  };
  const limit = (bytesPerSecond) => [mine, theirs].forEach((link) => link.limit(bytesPerSecond));

  await phase(2);
  const free = await phase(Math.max(3, seconds(6)));
  const full = mean(free.ours.map((period) => period.kb_per_second)) * 1000;
  limit(full / 4);
  const quarter = await phase(seconds(60));
  limit(full / 50);
  const fiftieth = await phase(seconds(60));
  limit(null);
  const { ours: back, their: theirBack } = await phase(seconds(15));

  const used = quarter.bytesPerSecond / (full / 4);
  const usual = free.ours.at(-1).size;
  const whole = back.findIndex(({ fps, size }) => fps.min > CLIP_FPS * 0.95 && size === usual);
  const theirWhole = theirBack.findIndex(({ fps, delay_ms: { max } }) => fps.min > CLIP_FPS * 0.9 && max < 1000);
  await stopAll();
  mine.close();
  theirs.close();

  const row = (what, unit, phases, pick, bound, met) => ({
    what, unit, ours: pick(phases.ours), others: { tutorial: pick(phases.their) },
    ...(bound ? { bound, met: met(pick(phases.ours)) } : {}),
  });
  return [
    { what: 'what the camera makes', unit: 'kB/s', ours: full / 1000 },
    row('a quarter: longest delay, from the change on', 'ms', quarter, longest, '< 700', (ms) => ms < 700),
    row('a quarter: seconds without a frame, after 3', '', quarter, (all) => without(settled(all)), '0', (count) => count === 0),
    row('a quarter: rate', 'fps', quarter, (all) => mean(rates(settled(all)))),
    { what: 'a quarter: part of the link that is used', ours: used, bound: '>= 0.8', met: used >= 0.8 },
    row('a fiftieth: longest delay, from the change on', 'ms', fiftieth, longest, '< 1500', (ms) => ms < 1500),
    row('a fiftieth: longest delay after 3 s', 'ms', fiftieth, (all) => longest(settled(all))),
    row('a fiftieth: seconds without a frame, after 3', '', fiftieth, (all) => without(settled(all)), '0', (count) => count === 0),
    row('a fiftieth: rate', 'fps', fiftieth, (all) => mean(rates(settled(all))), '>= 2', (fps) => fps >= 2),
    { what: 'a fiftieth: size of the frames', unit: 'pixels', ours: fiftieth.ours.findLast(({ delivered }) => delivered)?.size },
    {
      what: 'recovered: full rate and size after', unit: 's', ours: whole < 0 ? Infinity : whole + 1,
      others: { tutorial: theirWhole < 0 ? Infinity : theirWhole + 1 }, bound: '<= 10', met: whole >= 0 && whole + 1 <= 10,
    },
  ];
}
