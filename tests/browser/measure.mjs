// Measures the page over the real relay and agent and prints JSON:
//
//   node measure.mjs [--seconds 60] [--source test] [--fps 30] [--detect] [--mode live|step]
//
// Frames per second captured and painted, the picture's age, how busy the page's main thread is, and
// the page's memory. Figures of a machine that does other work at the same time are that machine's.

import { readFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { openPage, startChromium, state, until } from './lib/chromium.mjs';
import { startAgent, startRelay } from './lib/programs.mjs';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    source: { type: 'string', default: 'test' },
    fps: { type: 'string', default: '30' },
    detect: { type: 'boolean', default: false },
    mode: { type: 'string', default: 'live' },
  },
});
const seconds = Number(values.seconds);

const quantile = (numbers, share) => {
  const sorted = numbers.filter(Number.isFinite).sort((a, b) => a - b);
  return sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] : null;
};
const round = (value, digits = 1) => (value == null ? null : Number(value.toFixed(digits)));

/** CPU time (user and system, ms) and resident memory (MB) of a process. */
function usage(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  const rssKb = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1];
  return { cpuMs: (Number(fields[11]) + Number(fields[12])) * 10, rssMb: (rssKb * 1024) / 1e6 };
}

const browser = await startChromium();
const relay = await startRelay();
const args = ['--stream-fps', values.fps, ...(values.detect ? [] : ['--no-detect'])];
const agent = startAgent(relay.url, { source: values.source, name: 'measured', args });
try {
  const page = await openPage(browser.context, relay.url);
  await page.click(`[data-mode=${values.mode}]`);
  await until(page, ({ panes: [pane] }) => pane?.latency?.total != null && pane.counts.painted > 60, 60_000);

  const session = await browser.context.newCDPSession(page);
  await session.send('Performance.enable', { timeDomain: 'threadTicks' });
  const metrics = async () => {
    const { metrics } = await session.send('Performance.getMetrics');
    return Object.fromEntries(metrics.map(({ name, value }) => [name, value]));
  };
  const inspector = await browser.context.browser()?.newBrowserCDPSession();
  const processes = await (inspector ?? session).send('SystemInfo.getProcessInfo').catch(() => ({ processInfo: [] }));
  const renderers = processes.processInfo.filter(({ type }) => type === 'renderer').map(({ id }) => id);
  const renderer = renderers.sort((a, b) => usage(a).cpuMs - usage(b).cpuMs).at(-1); // the page's

  const samples = [];
  const memory = [];
  const [first, started] = [await state(page), performance.now()];
  const [busyBefore, rendererBefore] = [await metrics(), renderer ? usage(renderer) : null];
  while (performance.now() - started < seconds * 1000) {
    await new Promise((resolve) => setTimeout(resolve, 1000));
    samples.push((await state(page)).panes[0]);
    const { JSHeapUsedSize } = await metrics();
    memory.push({ heapMb: JSHeapUsedSize / 1e6, rssMb: renderer ? usage(renderer).rssMb : null });
  }
  const elapsed = (performance.now() - started) / 1000;
  const [last, busyAfter] = [await state(page), await metrics()];
  const span = (key) => last.panes[0].counts[key] - first.panes[0].counts[key];
  const half = Math.floor(memory.length / 2);
  const level = (part, key) => round(quantile(part.map((sample) => sample[key]), 0.5));
  const totals = samples.map(({ latency }) => latency?.total);
  console.log(
    JSON.stringify(
      {
        seconds: round(elapsed),
        mode: values.mode,
        detect: values.detect,
        load_average: loadavg().map((load) => round(load)),
        camera_fps: round((last.panes[0].seq - first.panes[0].seq) / elapsed, 2),
        painted_fps: round(span('painted') / elapsed, 2),
        skipped_by_page: span('skipped'),
        not_sent_to_page: span('missed'),
        age_ms: {
          median: round(quantile(totals, 0.5)),
          p95_of_seconds: round(quantile(totals, 0.95)),
          worst_frame_of_last_minute: round(samples.at(-1).latencyWorst),
        },
        hops_ms: Object.fromEntries(
          ['agent', 'uplink', 'downlink', 'hold', 'decode', 'paint'].map((hop) => [
            hop,
            round(quantile(samples.map(({ latency }) => latency?.[hop]), 0.5)),
          ]),
        ),
        main_thread_busy_percent: round(((busyAfter.TaskDuration - busyBefore.TaskDuration) / elapsed) * 100),
        script_percent: round(((busyAfter.ScriptDuration - busyBefore.ScriptDuration) / elapsed) * 100),
        renderer_cpu_percent: renderer
          ? round((usage(renderer).cpuMs - rendererBefore.cpuMs) / elapsed / 10)
          : null,
        heap_mb: { first_half: level(memory.slice(0, half), 'heapMb'), second_half: level(memory.slice(half), 'heapMb') },
        renderer_rss_mb: { first_half: level(memory.slice(0, half), 'rssMb'), second_half: level(memory.slice(half), 'rssMb') },
      },
      null,
      2,
    ),
  );
} finally {
  await browser.close();
  await agent.stop();
  await relay.stop();
}
