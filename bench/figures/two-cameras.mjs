// Two cameras, one viewer who watches both, on a fast and on a slow link.
import { load, startAgent, startRelay } from '../lib/programs.mjs';

export const title = 'Two cameras (30 fps each) and one viewer who watches both';

export async function run({ seconds }) {
  const time = { seconds: seconds(10), warmup: seconds(3) };
  const relay = await startRelay();
  for (const camera of ['left', 'right']) {
    startAgent({ port: relay.port, camera, detect: false });
  }
  const watch = { url: relay.url, camera: ['left', 'right'], ...time };
  const fast = await load(watch);
  // The clip's pictures have 24 kB: this carries 10 of 60 pictures a second.
  const slow = await load({ ...watch, receiveBuffer: 16 << 10, readRate: 240_000 });
  const least = ({ cameras }) => Math.min(cameras.left.min, cameras.right.min);
  const share = least(slow) / (slow.cameras.left.min + slow.cameras.right.min);
  return [
    { what: 'fast link, the lesser camera', unit: 'fps', ours: least(fast), bound: '30', met: least(fast) > 29.5 },
    { what: 'slow link (240 kB/s), left', unit: 'fps', ours: slow.cameras.left.min },
    { what: 'slow link (240 kB/s), right', unit: 'fps', ours: slow.cameras.right.min },
    { what: 'slow link, share of the lesser camera', ours: share, bound: '>= 0.4', met: share >= 0.4 },
    { what: 'slow link, longest delay', unit: 'ms', ours: slow.delay_ms.max },
  ];
}
