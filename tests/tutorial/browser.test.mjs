// The pages in Chromium: ours with the tutorial's client, the tutorial's with our relay, and the streamer.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openPage, startChromium, state, until } from '../browser/lib/chromium.mjs';
import { startAgent, startRelay } from './lib/ours.mjs';
import { STACKS, decode, lastWords, openTheirPage, readText, startClient, startServer } from './lib/tutorial.mjs';

/** Test machines are busy: wait long, not often. */
const PATIENCE = 60_000;

let browser;
before(async () => { browser = await startChromium(); });
after(() => browser.close());

/** Waits until the tutorial's page has painted `count` pictures more; resolves to what it shows. */
async function theirPicture(page, count = 10) {
  const seen = await page.evaluate(() => window.painted);
  await page.waitForFunction((wanted) => window.painted >= wanted, seen + count, { timeout: PATIENCE });
  return page.evaluate(() => {
    const image = document.getElementById('streamer-image');
    return { width: image.naturalWidth, height: image.naturalHeight, text: document.getElementById('streamer-text').innerHTML };
  });
}

/** The page of `url` once it has painted `count` pictures. */
async function openOurPage(t, url, count = 30) {
  const page = await openPage(browser.context, `${url}/`);
  t.after(() => page.close());
  await until(page, ({ panes }) => panes[0]?.counts.painted >= count, PATIENCE);
  return page;
}

for (const stack of STACKS) {
  test(`their client -> our relay -> our page: ${stack}`, async (t) => {
    const relay = await startRelay();
    t.after(() => relay.stop());
    const client = startClient(stack, relay.port, { fps: 10 });
    t.after(() => client.stop());
    const page = await openOurPage(t, relay.url);

    const { cameras, panes: [pane] } = await state(page);
    assert.deepEqual(cameras.map(({ name, state: is }) => [name, is]), [['tutorial', 'live']]);
    assert.ok(pane.width >= 320 && pane.width <= 640 && pane.height <= 480, `${pane.width}x${pane.height}`);
    await page.waitForFunction(() => /Objects:/.test(document.getElementById('text').innerText), null, { timeout: PATIENCE });
    const lines = (await page.innerText('#text')).split('\n').filter(Boolean);
    readText(lines.join('<br />'));
    assert.deepEqual(page.complaints, []);

    const { sent, fps } = await lastWords(client);
    assert.ok(fps < 10.5, `asked for 10 fps, sent ${fps}`);
    const { counts } = (await state(page)).panes[0];
    const { painted } = counts;
    // What the page was too busy to take was skipped, not queued.
    assert.ok(painted > sent / 3 && painted <= sent, `painted ${painted} of ${sent}`);
  });
}

for (const client of [2, 4]) {
  test(`our agent -> our relay -> their page in Chromium: socket.io-client ${client}`, async (t) => {
    const relay = await startRelay();
    t.after(() => relay.stop());
    const agent = startAgent({ port: relay.port, fps: 10, args: ['--name', 'front'] });
    t.after(() => agent.stop());
    const page = await openTheirPage(t, browser, relay, client);
    const { width, height, text } = await theirPicture(page);
    assert.ok(width === 640 && height === 480, `${width}x${height}`);
    // The browser writes line breaks its own way.
    readText(text.replaceAll('<br>', '<br />'));
    // A page from another address than the relay's may use WebSocket alone, and may name a camera.
    const back = startAgent({ port: relay.port, source: 'test:320x240', detect: false, args: ['--name', 'back'] });
    t.after(() => back.stop());
    await back.line(/Successfully connected/);
    const image = await page.evaluate((url) => new Promise((resolve) => {
      const manager = new io.Manager(url, { transports: ['websocket'], query: { camera: 'front' } });
      manager.socket('/web').once('server2web', ({ image: came }) => resolve(came));
      setTimeout(resolve, 20_000, 'nothing came');
    }), relay.url);
    assert.equal(decode(image).width, 640);
    assert.deepEqual(page.complaints, []);
  });
}

for (const stack of STACKS) {
  test(`our agent -> their server -> their page in Chromium: ${stack}`, async (t) => {
    const server = await startServer(stack);
    t.after(() => server.stop());
    const page = await openPage(browser.context, `${server.url}/`);
    t.after(() => page.close());
    const agent = startAgent({ port: server.port, fps: 10, args: ['--wire', 'tutorial'] });
    t.after(() => agent.stop());
    const { width, height, text } = await theirPicture(page);
    assert.ok(width <= 640 && height <= 480, `${width}x${height}`);
    readText(text.replaceAll('<br>', '<br />'));
    assert.deepEqual(page.complaints, []);
  });
}

test('--use-streamer: the page of the relay, on the board itself, with boxes', async (t) => {
  const agent = startAgent({ fps: 10, args: ['--use-streamer', '--streamer-host', '127.0.0.1', '--streamer-port', '0'] });
  t.after(() => agent.stop());
  const [, url] = await agent.line(/(http:\/\/127\.0\.0\.1:\d+)/);
  const page = await openOurPage(t, url);
  await until(page, ({ panes: [pane] }) => pane.boxesOf?.objects.length > 0, PATIENCE);
  await page.waitForFunction(() => document.querySelectorAll('#objects li').length > 0, null, { timeout: PATIENCE });
  assert.deepEqual(page.complaints, []);

  // The same files as the relay's.
  const relay = await startRelay();
  t.after(() => relay.stop());
  const used = await page.evaluate(() => performance.getEntriesByType('resource')
    .filter(({ initiatorType }) => ['script', 'link', 'css', 'other'].includes(initiatorType))
    .map(({ name }) => new URL(name).pathname));
  assert.ok(used.includes('/app.js'), used.join(' '));
  for (const path of ['/', ...new Set(used)]) {
    const [ours, relays] = await Promise.all([url, relay.url].map(async (base) => {
      const answer = await fetch(base + path);
      return Buffer.from(await answer.arrayBuffer());
    }));
    assert.ok(ours.equals(relays), `${path} differs`);
  }
});
