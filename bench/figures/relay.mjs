// What a relay costs per delivered picture and per viewer, beside the bare write loop and the peers.
import { load, startBare, startNodeRelay, startRelay, startTutorialServer } from '../lib/programs.mjs';

const BYTES = 40_000;

export const title = 'Relay: processor time, rates and memory (40 kB pictures, all acknowledged)';

export async function run({ seconds }) {
  const time = { seconds: seconds(10), warmup: seconds(3) };
  const hundred = { viewers: 100, bytes: BYTES, publishFps: 30, ...time };

  const bareLoop = await startBare({ viewers: 100, bytes: BYTES, fps: 30 });
  const bare = await load({ url: bareLoop.url, wire: 'bare', viewers: 100, pid: bareLoop.pid, ...time });
  await bareLoop.stop();

  const relay = await startRelay();
  const ours = await load({ url: relay.url, pid: relay.pid, ...hundred });
  await relay.stop();

  const nodeRelay = await startNodeRelay();
  const node = await load({ url: nodeRelay.url, wire: 'plain', pid: nodeRelay.pid, ...hundred });
  await nodeRelay.stop();

  // The tutorial's server cannot carry 100 viewers at 30 fps: as many as it can, so that it is not
  // measured while it drowns.
  const flask = await startTutorialServer();
  const tutorial = await load({
    url: flask.url, wire: 'tutorial', pid: flask.pid, bytes: BYTES, viewers: 1, publishFps: 30, ...time,
  });
  const tutorialTen = await load({
    url: flask.url, wire: 'tutorial', pid: flask.pid, bytes: BYTES, viewers: 10, publishFps: 3, ...time,
  });
  await flask.stop();

  const crowd = await startRelay();
  const many = await load({
    url: crowd.url, pid: crowd.pid, viewers: 300, publishFps: 15, bytes: BYTES, ...time,
  });
  await crowd.stop();

  const quiet = await startRelay();
  const idle = await load({ url: quiet.url, pid: quiet.pid, viewers: 300, idle: true, seconds: seconds(5) });
  await quiet.stop();

  const cost = ({ server }) => server.cpu_us_per_delivered;
  const names = { bare: 'bare write loop', node: 'Node socket.io', one: 'tutorial, 1 viewer', ten: 'tutorial, 10 viewers' };
  return [
    {
      what: 'processor time per delivered picture, 100 viewers x 30 fps', unit: 'us', ours: cost(ours),
      others: { [names.bare]: cost(bare), [names.node]: cost(node), [names.one]: cost(tutorial), [names.ten]: cost(tutorialTen) },
    },
    { what: 'ours over the bare write loop', ours: cost(ours) / cost(bare), bound: '<= 2.4', met: cost(ours) <= 2.4 * cost(bare) },
    { what: 'Node socket.io over ours', ours: cost(node) / cost(ours), bound: '>= 1.5', met: cost(node) >= 1.5 * cost(ours) },
    { what: 'tutorial over ours, its one viewer at 30 fps', ours: cost(tutorial) / cost(ours), bound: '>= 50', met: cost(tutorial) >= 50 * cost(ours) },
    { what: 'tutorial over ours, its ten viewers at 3 fps', ours: cost(tutorialTen) / cost(ours) },
    {
      what: 'slowest viewer', unit: 'fps', ours: ours.fps.min,
      others: { [names.bare]: bare.fps.min, [names.node]: node.fps.min, [names.one]: tutorial.fps.min, [names.ten]: tutorialTen.fps.min },
    },
    {
      what: 'delay, median', unit: 'ms', ours: ours.delay_ms.p50,
      others: { [names.bare]: bare.delay_ms.p50, [names.node]: node.delay_ms.p50, [names.one]: tutorial.delay_ms.p50, [names.ten]: tutorialTen.delay_ms.p50 },
    },
    {
      what: 'delay, 99th percentile', unit: 'ms', ours: ours.delay_ms.p99,
      others: { [names.bare]: bare.delay_ms.p99, [names.node]: node.delay_ms.p99, [names.one]: tutorial.delay_ms.p99, [names.ten]: tutorialTen.delay_ms.p99 },
    },
    { what: 'slowest of 300 viewers at 15 fps', unit: 'fps', ours: many.fps.min, bound: '>= 14', met: many.fps.min >= 14 },
    { what: 'processor time per delivered picture, 300 viewers', unit: 'us', ours: cost(many) },
    {
      what: 'memory per idle viewer (300)', unit: 'kB', ours: idle.server.kb_per_viewer,
      bound: '< 60', met: idle.server.kb_per_viewer < 60,
    },
    {
      what: 'memory per watching viewer (100)', unit: 'kB', ours: ours.server.kb_per_viewer,
      others: { [names.node]: node.server.kb_per_viewer }, bound: '< 250', met: ours.server.kb_per_viewer < 250,
    },
    {
      what: 'memory in all, 100 viewers', unit: 'MB', ours: ours.server.rss_mb,
      others: { [names.node]: node.server.rss_mb, [names.one]: tutorial.server.rss_mb, [names.ten]: tutorialTen.server.rss_mb },
    },
  ];
}
