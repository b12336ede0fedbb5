// A long fast link: 60 ms of round trip on both hops.
import { load, startAgent, startDelay, startRelay } from '../lib/programs.mjs';

export const title = 'Sixty milliseconds of added round trip (delaying proxy, no limit on the rate)';

export async function run({ seconds }) {
  const time = { seconds: seconds(15), warmup: seconds(4) };
  const relay = await startRelay();
  const proxy = await startDelay(relay.port, 30);

  const far = startAgent({ port: proxy.port, camera: 'far', detect: false });
  const uplink = await load({ url: relay.url, camera: 'far', ...time });
  const both = await load({ url: proxy.url, camera: 'far', ...time });
  await far.stop();

  const near = startAgent({ port: relay.port, camera: 'near', detect: false });
  const viewer = await load({ url: proxy.url, camera: 'near', ...time });
  await near.stop();

  const row = (what, { fps, delay_ms: delay }) => ({
    what, unit: 'fps', ours: fps.min, bound: '30', met: fps.min > 29.5, others: { 'delay, median, ms': delay.p50, 'delay, longest, ms': delay.max },
  });
  return [
    row('agent to relay', uplink),
    row('relay to viewer', viewer),
    row('both hops', both),
  ];
}
