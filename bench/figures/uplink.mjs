// The board's link is too slow for its camera: delay and rate at the viewer, and the way back.
// Ours and the tutorial's programs at once, each on a link of its own with the same limit.
import { setTimeout as sleep } from 'node:timers/promises';
import { Link } from '../lib/links.mjs';
import { CLIP_FPS, startAgent, startLoad, startRelay, startTutorialClient, startTutorialServer, stopAll } from '../lib/programs.mjs';

export const title = 'A slow uplink (token bucket, 200 ms of queue), then its recovery';

/** Highest of the periods' longest delays, leaving out the first seconds, in which the link changed. */
const longest = (periods, skip) => Math.max(...periods.slice(skip).map(({ delay_ms: { max } }) => max ?? Infinity));
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

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

  const free = await phase(seconds(8));
  const full = mean(free.ours.slice(2).map((period) => period.kb_per_second)) * 1000;
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

  const rate = (periods) => mean(periods.slice(5).map(({ fps }) => fps.min));
  const lowest = (periods) => Math.min(...periods.slice(5).map(({ fps }) => fps.min));
  const last = (periods) => periods.map(({ delay_ms: { max } }) => max).findLast((max) => max) ?? Infinity;
  const name = 'tutorial';
  const row = (what, unit, ours, other, bound, met) => ({
    what, unit, ours, others: { [name]: other }, ...(bound ? { bound, met } : {}),
  });
  return [
    { what: 'what the camera makes', unit: 'kB/s', ours: full / 1000 },
    row('a quarter: longest delay', 'ms', longest(quarter.ours, 5), longest(quarter.their, 5), '< 700', longest(quarter.ours, 5) < 700),
    row('a quarter: longest delay in the first 5 s', 'ms', longest(quarter.ours.slice(0, 5), 0), longest(quarter.their.slice(0, 5), 0)),
    row('a quarter: delay at the end', 'ms', last(quarter.ours), last(quarter.their)),
    row('a quarter: rate', 'fps', rate(quarter.ours), rate(quarter.their)),
    { what: 'a quarter: part of the link that is used', ours: used, bound: '>= 0.8', met: used >= 0.8 },
    row('a fiftieth: longest delay', 'ms', longest(fiftieth.ours, 15), longest(fiftieth.their, 15), '< 1500', longest(fiftieth.ours, 15) < 1500),
    row('a fiftieth: longest delay in the first 15 s', 'ms', longest(fiftieth.ours.slice(0, 15), 0), longest(fiftieth.their.slice(0, 15), 0)),
    row('a fiftieth: rate after 15 s', 'fps', mean(fiftieth.ours.slice(15).map(({ fps }) => fps.min)), mean(fiftieth.their.slice(15).map(({ fps }) => fps.min)), '>= 2',
      mean(fiftieth.ours.slice(15).map(({ fps }) => fps.min)) >= 2),
    row('a fiftieth: lowest rate in any second', 'fps', Math.min(...fiftieth.ours.slice(15).map(({ fps }) => fps.min)), lowest(fiftieth.their)),
    row('a fiftieth: pictures', 'pixels', fiftieth.ours.findLast(({ delivered }) => delivered)?.size, ''),
    row('recovered: full rate and size again after', 's', whole < 0 ? 'not in time' : whole + 1, theirWhole < 0 ? 'not in time' : theirWhole + 1, '<= 10', whole >= 0 && whole + 1 <= 10),
  ];
}
