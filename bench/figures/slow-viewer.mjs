// One viewer who can take 5 of 30 pictures a second, among others who can take all.
import { load, startLoad, startNodeRelay, startRelay } from '../lib/programs.mjs';
import { below } from '../lib/table.mjs';

export const title = 'A slow viewer: 250 kB/s through a 16 kB receive window, frames of 50 kB at 30 fps, nine others';

const BYTES = 50_000;
const SLOW = { viewers: 1, receiveBuffer: 16 << 10, readRate: 5 * BYTES, warmup: 0 };

async function together(relay, wire, time) {
  // The others publish too, and are there first, so that the slow one has something to watch.
  const others = startLoad({ url: relay.url, wire, viewers: 9, publishFps: 30, bytes: BYTES, seconds: time + 2, warmup: 1 });
  const slow = await load({ url: relay.url, wire, ...SLOW, seconds: time, every: 5, reconnect: true });
  return { slow, others: await others.result() };
}

export async function run({ seconds }) {
  const time = seconds(60);
  const relay = await startRelay();
  const ours = await together(relay, 'relay', time);
  await relay.stop();
  const nodeRelay = await startNodeRelay();
  const node = await together(nodeRelay, 'plain', seconds(20));
  await nodeRelay.stop();
  const name = `Node socket.io, after ${seconds(20)} s`;
  return [
    {
      what: `longest delay at the slow viewer in ${time} s`, unit: 'ms', ours: ours.slow.delay_ms.max,
      others: { [name]: node.slow.delay_ms.max }, bound: '< 500', met: below(ours.slow.delay_ms.max, 500),
    },
    { what: 'its median delay', unit: 'ms', ours: ours.slow.delay_ms.p50, others: { [name]: node.slow.delay_ms.p50 } },
    {
      what: 'its rate (5 is what it can take)', unit: 'fps', ours: ours.slow.fps.median,
      others: { [name]: node.slow.fps.median }, bound: '>= 4', met: ours.slow.fps.median >= 4,
    },
    {
      what: 'slowest of the others', unit: 'fps', ours: ours.others.fps.min, others: { [name]: node.others.fps.min },
      bound: '30', met: ours.others.fps.min > 29.5,
    },
    { what: 'longest pause of any of the others', unit: 'ms', ours: ours.others.longest_gap_ms, others: { [name]: node.others.longest_gap_ms } },
    { what: 'delay of the others, 99th percentile', unit: 'ms', ours: ours.others.delay_ms.p99, others: { [name]: node.others.delay_ms.p99 } },
  ];
}
