// What a relay costs per delivered picture and per viewer, beside the bare write loop and the peers.
import { load, startBare, startNodeRelay, startRelay, startTutorialServer } from '../lib/programs.mjs';

const BYTES = 40_000;

export const title = 'Relay: processor time, rates and memory (40 kB frames; ours acknowledged by every viewer)';

/** Two measurements of one server as one: the mean cost, the worse of everything else. */
function together([first, second]) {
  const mean = (pick) => (pick(first) + pick(second)) / 2;
  const worse = ({ delay_ms: a }, { delay_ms: b }) => ({ p50: Math.max(a.p50, b.p50), p99: Math.max(a.p99, b.p99) });
  return {
    fps: { min: Math.min(first.fps.min, second.fps.min) },
    delay_ms: worse(first, second),
    server: {
      cpu_us_per_delivered: mean(({ server }) => server.cpu_us_per_delivered),
      rss_mb: Math.max(first.server.rss_mb, second.server.rss_mb),
      kb_per_viewer: Math.max(first.server.kb_per_viewer, second.server.kb_per_viewer),
    },
  };
}

export async function run({ seconds }) {
  const time = { seconds: seconds(10), warmup: seconds(3) };
  const hundred = { viewers: 100, bytes: BYTES, publishFps: 30, ...time };

  // Twice each, in turn: what else the machine does should hit all of them alike.
  const rounds = { bare: [], ours: [], node: [] };
  for (let round = 0; round < 2; round += 1) {
    const bareLoop = await startBare({ viewers: 100, bytes: BYTES, fps: 30 });
    rounds.bare.push(await load({ url: bareLoop.url, wire: 'bare', viewers: 100, pid: bareLoop.pid, ...time }));
    await bareLoop.stop();

    const relay = await startRelay();
    rounds.ours.push(await load({ url: relay.url, pid: relay.pid, ...hundred }));
    await relay.stop();

    const nodeRelay = await startNodeRelay();
    rounds.node.push(await load({ url: nodeRelay.url, wire: 'plain', pid: nodeRelay.pid, ...hundred }));
    await nodeRelay.stop();
  }
  const [bare, ours, node] = [rounds.bare, rounds.ours, rounds.node].map(together);

  // The tutorial's server cannot carry 100 viewers at 30 fps: as many as it can, so that it is not
  // measured while it drowns.
  const flask = await startTutorialServer();
  const tutorial = await load({
    url: flask.url, wire: 'tutorial', pid: flask.pid, bytes: BYTES, viewers: 1, publishFps: 10, ...time,
  });
  await flask.stop();
  const second = await startTutorialServer();
  const tutorialTen = await load({
    url: second.url, wire: 'tutorial', pid: second.pid, bytes: BYTES, viewers: 10, publishFps: 3, ...time,
  });
  await second.stop();

  const crowd = await startRelay();
  const many = await load({
    url: crowd.url, pid: crowd.pid, viewers: 300, publishFps: 15, bytes: BYTES, ...time,
  });
  await crowd.stop();

  const quiet = await startRelay();
  const idle = await load({ url: quiet.url, pid: quiet.pid, viewers: 300, idle: true, seconds: seconds(5) });
  await quiet.stop();

  const cost = ({ server }) => server.cpu_us_per_delivered;
  const peers = {
    'bare write loop': bare, 'Node socket.io': node, 'tutorial, 1 viewer at 10 fps': tutorial, 'tutorial, 10 viewers at 3 fps': tutorialTen,
  };
  const row = (what, unit, pick) => ({
    what, unit, ours: pick(ours), others: Object.fromEntries(Object.entries(peers).map(([name, measured]) => [name, pick(measured)])),
  });
  const bounded = (what, unit, value, bound, met) => ({ what, unit, ours: value, bound, met });
  return [
    row('processor time per delivered frame, 100 viewers x 30 fps', 'us', cost),
    bounded('ours over the bare write loop', '', cost(ours) / cost(bare), '<= 2.4', cost(ours) <= 2.4 * cost(bare)),
    bounded('Node socket.io over ours', '', cost(node) / cost(ours), '>= 1.5', cost(node) >= 1.5 * cost(ours)),
    // What it spends once for each picture is shared by ten: the better of the two for the tutorial.
    bounded('tutorial over ours, its ten viewers at 3 fps', '', cost(tutorialTen) / cost(ours), '>= 50', cost(tutorialTen) >= 50 * cost(ours)),
    { what: 'tutorial over ours, its one viewer at 10 fps', ours: cost(tutorial) / cost(ours) },
    row('slowest viewer', 'fps', ({ fps }) => fps.min),
    row('delay, median', 'ms', ({ delay_ms: delay }) => delay.p50),
    row('delay, 99th percentile', 'ms', ({ delay_ms: delay }) => delay.p99),
    bounded('slowest of 300 viewers at 15 fps', 'fps', many.fps.min, '>= 14', many.fps.min >= 14),
    { what: 'processor time per delivered frame, 300 viewers', unit: 'us', ours: cost(many) },
    bounded('memory per idle viewer (300)', 'kB', idle.server.kb_per_viewer, '< 60', idle.server.kb_per_viewer < 60),
    bounded('memory per watching viewer (100)', 'kB', ours.server.kb_per_viewer, '< 250', ours.server.kb_per_viewer < 250),
    row('memory of the process', 'MB', ({ server }) => server.rss_mb),
  ];
}
