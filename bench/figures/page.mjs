// Our page in Chromium for a minute: painted rate, age of the pictures, how busy the main thread is, memory.
import { openPage, startChromium, state, until } from '../../tests/browser/lib/chromium.mjs';
import { CLIP_FPS, startAgent, startRelay } from '../lib/programs.mjs';

export const title = 'The page in Chromium (clip at 30 fps with detection, headless, software rendering)';

const percentile = (values, part) => [...values].sort((a, b) => a - b)[Math.round((values.length - 1) * part)];

export async function run({ seconds }) {
  const relay = await startRelay();
  const agent = startAgent({ port: relay.port });
  await agent.line(/Successfully connected/);
  const browser = await startChromium();
  try {
    const page = await openPage(browser.context, `${relay.url}/`);
    await until(page, ({ panes }) => panes[0]?.seq > 30, 30_000);
    const devtools = await browser.context.newCDPSession(page);
    // Processor time of the main thread: on a busy machine, time on the clock says more about others.
    await devtools.send('Performance.enable', { timeDomain: 'threadTicks' });
    const metrics = async () => {
      await devtools.send('HeapProfiler.collectGarbage');
      const { metrics: list } = await devtools.send('Performance.getMetrics');
      return Object.fromEntries(list.map(({ name, value }) => [name, value]));
    };
    const take = async () => ({ ...(await metrics()), pane: (await state(page)).panes[0] });
    await page.waitForTimeout(seconds(5) * 1000);

    const first = await take();
    const ages = [];
    const end = Date.now() + seconds(60) * 1000;
    while (Date.now() < end) {
      await page.waitForTimeout(250);
      const { latency } = (await state(page)).panes[0];
      if (latency?.total !== undefined) ages.push(latency.total);
    }
    const last = await take();

    const elapsed = last.Timestamp - first.Timestamp;
    const painted = (last.pane.counts.painted - first.pane.counts.painted) / elapsed;
    const busy = ((last.TaskDuration - first.TaskDuration) / elapsed) * 100;
    const heap = (last.JSHeapUsedSize - first.JSHeapUsedSize) / 1e6;
    return [
      { what: 'painted', unit: 'fps', ours: painted, bound: String(CLIP_FPS), met: painted > CLIP_FPS - 0.5 },
      { what: 'age when painted, median', unit: 'ms', ours: percentile(ages, 0.5), bound: '< 80', met: percentile(ages, 0.5) < 80 },
      { what: 'age when painted, 95th percentile', unit: 'ms', ours: percentile(ages, 0.95) },
      { what: 'main thread busy (its processor time)', unit: '%', ours: busy, bound: '< 30', met: busy < 30 },
      { what: 'JavaScript heap at the start', unit: 'MB', ours: first.JSHeapUsedSize / 1e6 },
      { what: `growth of the heap in ${Math.round(elapsed)} s`, unit: 'MB', ours: heap, bound: '< 1', met: heap < 1 },
    ];
  } finally {
    await browser.close();
    await agent.stop();
    await relay.stop();
  }
}
