// The whole system: the real relay and the real agent on the bundled clip, seen in Chromium.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openPage, startChromium, state, until } from './lib/chromium.mjs';
import { fingerprint, look } from './lib/overlay.mjs';
import { CLIP, clip } from './lib/pictures.mjs';
import { startAgent, startRelay } from './lib/programs.mjs';
import { witness } from './lib/viewer.mjs';

const CAMERA = 'clip';
/** Engines differ a hundredfold in speed, and test machines are busy: wait long, not often. */
const PATIENCE = 60_000;
/** What hangs fails, and says where. */
const LIMIT = { timeout: 4 * PATIENCE };

let browser;
let relay;
let agent;
let page;
let seen;

before(async () => {
  browser = await startChromium();
  relay = await startRelay();
  agent = startAgent(relay.url, { source: CLIP, name: CAMERA });
  seen = witness(relay.url, CAMERA);
  page = await openPage(browser.context, relay.url);
});

after(async () => {
  seen?.close();
  await browser?.close();
  await agent?.stop();
  await relay?.stop();
});

/** Waits until the page has painted `count` more frames. */
async function paints(count) {
  const before = (await state(page)).panes[0]?.counts.painted ?? 0;
  return until(page, ({ panes }) => panes[0]?.counts.painted >= before + count, PATIENCE);
}

/** Waits until boxes are shown over the picture that they were found in. */
const showsBoxes = () =>
  until(page, ({ panes: [pane] }) => pane?.boxesAgeUs === 0 && pane.boxesOf.objects.length > 0, PATIENCE);

const notice = (kind) => until(page, ({ panes: [pane] }) => pane?.notice?.kind === kind, PATIENCE);
const noNotice = () => until(page, ({ panes: [pane] }) => pane && pane.notice === null, PATIENCE);

test('the clip moves on the canvas', LIMIT, async () => {
  await paints(5);
  const first = await fingerprint(page);
  await paints(30);
  assert.notEqual(await fingerprint(page), first);
  const { panes, cameras } = await state(page);
  assert.deepEqual(cameras.map(({ name, state }) => [name, state]), [[CAMERA, 'live']]);
  assert.ok(panes[0].videoFps > 5, `${panes[0].videoFps} fps`);
});

test('boxes lie over their own picture where the detections say', LIMIT, async () => {
  await page.click('[data-mode=step]');
  let checked = 0;
  const labels = new Set();
  for (const end = performance.now() + PATIENCE; checked < 6; ) {
    assert.ok(performance.now() < end, `only ${checked} pictures with boxes of their own`);
    const { state, drawn } = await look(page);
    const [pane] = state.panes;
    if (pane.boxesAgeUs !== 0 || drawn.length === 0) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      continue;
    }
    // What the page drew is what the relay sent to somebody else for the same frame.
    const sent = seen.detections.get(pane.seq);
    if (sent) {
      assert.deepEqual(pane.boxesOf.objects, sent.objects);
      assert.equal(pane.capturedUs, sent.captured_us);
    }
    // And it is on the canvas. Smaller boxes may lie over a part of a larger one's edge.
    drawn.forEach((share, i) => {
      const { label, box } = pane.boxesOf.objects[i];
      const mean = (share.top + share.bottom + share.left + share.right) / 4;
      assert.ok(mean > 0.8, `${label} at ${box} is drawn to ${JSON.stringify(share)}`);
      labels.add(label);
    });
    checked++;
    await until(page, ({ panes: [now] }) => now.seq !== pane.seq, PATIENCE);
  }
  assert.ok(seen.detections.size > 0, 'the witness saw detections');
  await page.click('[data-mode=live]');
});

test('the picture on the canvas is the clip’s', LIMIT, async () => {
  const pictures = clip().map((jpeg) => `data:image/jpeg;base64,${jpeg.toString('base64')}`);
  await paints(1);
  const shown = await page.evaluate(() => {
    const canvas = document.querySelector('canvas.frame');
    return { url: canvas.toDataURL('image/png'), seq: window.cv.state.panes[0].seq };
  });
  // Compared in a page of its own, without the relay's content policy.
  const blank = await browser.context.newPage();
  const differences = await blank.evaluate(async ([shown, pictures]) => {
    const pixels = async (url) => {
      const image = new Image();
      image.src = url;
      await image.decode();
      const canvas = new OffscreenCanvas(64, 48);
      const context = canvas.getContext('2d');
      context.drawImage(image, 0, 0, 64, 48);
      return context.getImageData(0, 0, 64, 48).data;
    };
    const target = await pixels(shown);
    const result = [];
    for (const url of pictures) {
      const data = await pixels(url);
      result.push(data.reduce((sum, value, i) => sum + Math.abs(value - target[i]), 0) / data.length);
    }
    return result;
  }, [shown.url, pictures]);
  await blank.close();
  const best = Math.min(...differences);
  assert.ok(best < 1, `nearest of the clip's pictures differs by ${best} per value`);
});

test('the card’s text follows the detections', LIMIT, async () => {
  const texts = new Set();
  for (const end = performance.now() + PATIENCE; texts.size < 2; ) {
    assert.ok(performance.now() < end, `the card kept saying ${[...texts]}`);
    const card = await page.evaluate(() => ({
      model: document.querySelector('#model').textContent,
      engine: document.querySelector('#engine-name').textContent,
      infer: document.querySelector('#infer').textContent,
      objects: [...document.querySelectorAll('#objects li')].map((row) => [
        row.querySelector('.label').textContent,
        row.querySelector('.score').textContent,
      ]),
    }));
    const fits = [...seen.detections.values()].some(
      (sent) =>
        sent.model === card.model &&
        `${sent.engine}, ${sent.accelerator}` === card.engine &&
        `${(sent.infer_ms / 1000).toFixed(3)} s` === card.infer &&
        JSON.stringify(sent.objects.map(({ label, score }) => [label, `${(score * 100).toFixed(2)}%`])) ===
          JSON.stringify(card.objects),
    );
    if (fits) texts.add(JSON.stringify(card));
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
});

test('the numbers are known', LIMIT, async () => {
  const { panes } = await until(
    page,
    ({ panes: [pane] }) => pane.latency?.total != null && pane.latency.uplink != null && pane.detectFps > 0,
    PATIENCE,
  );
  const { latency } = panes[0];
  // One machine, one clock: nothing takes negative time beyond the clocks' uncertainty.
  for (const [hop, ms] of Object.entries(latency)) assert.ok(ms > -20 && ms < 10_000, `${hop}: ${ms} ms`);
  await page.waitForFunction(() => document.querySelector('#agent').textContent.includes('MB'));
});

test('the page recovers after the relay was stopped and started again', LIMIT, async () => {
  const { port } = relay;
  await relay.stop();
  await notice('lost');
  relay = await startRelay({ port });
  await noNotice();
  await paints(10);
  await showsBoxes();
});

test('the page recovers after the relay was killed', LIMIT, async () => {
  const { port } = relay;
  await relay.stop('SIGKILL');
  await notice('lost');
  relay = await startRelay({ port });
  await noNotice();
  await paints(10);
});

test('the page recovers after the agent was stopped and started again', LIMIT, async () => {
  await agent.stop();
  await notice('offline');
  agent = startAgent(relay.url, { source: CLIP, name: CAMERA });
  await noNotice();
  await paints(10);
  await showsBoxes();
});

test('nothing went wrong in the page meanwhile', () => {
  const serious = page.complaints.filter((text) => !/WebSocket connection to .* failed/.test(text));
  assert.deepEqual(serious, []);
});
