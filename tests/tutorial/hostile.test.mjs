// Clients of the tutorial's kind that mean harm: refused, or shown harmlessly by both pages.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { io } from 'socket.io-client';
import { openPage, startChromium, state, until } from '../browser/lib/chromium.mjs';
import { startAgent, startRelay } from './lib/ours.mjs';
import { DATA_URL, clip, openTheirPage } from './lib/tutorial.mjs';

/** One good picture: the first of the clip. */
async function picture() {
  const bytes = await readFile(clip);
  return DATA_URL + bytes.subarray(0, bytes.indexOf(Buffer.from([0xff, 0xd9])) + 2).toString('base64');
}

function connect(relay) {
  return new Promise((resolve, reject) => {
    const socket = io(`${relay.url}/cv`, { transports: ['websocket'], reconnection: false, forceNew: true });
    socket.once('connect', () => resolve(socket));
    socket.once('connect_error', reject);
  });
}

/** Sends a payload; resolves to what the relay says when it throws the client out. */
async function refusal(relay, payload) {
  const socket = await connect(relay);
  let reason = '';
  socket.on('refused', ({ message }) => { reason = message; });
  const gone = new Promise((resolve) => { socket.once('disconnect', resolve); });
  socket.emit('cv2server', payload);
  await gone;
  return reason;
}

let browser;
before(async () => { browser = await startChromium(); });
after(() => browser.close());

/** Both pages, with a way to wait until each has painted `count` pictures more. */
async function openBoth(t, relay) {
  const ours = await openPage(browser.context, `${relay.url}/`);
  t.after(() => ours.close());
  const theirs = await openTheirPage(t, browser, relay, 2);
  const painted = async (count) => {
    const before = (await state(ours)).panes[0]?.counts.painted ?? 0;
    await until(ours, ({ panes }) => panes[0]?.counts.painted >= before + count, 60_000);
    const seen = await theirs.evaluate(() => window.painted);
    await theirs.waitForFunction((wanted) => window.painted >= wanted, seen + count, { timeout: 60_000 });
  };
  return { ours, theirs, painted };
}

test('what is no picture is refused with the reason, and pages notice nothing', async (t) => {
  const relay = await startRelay();
  t.after(() => relay.stop());
  const agent = startAgent({ port: relay.port, fps: 10, detect: false, args: ['--name', 'front'] });
  t.after(() => agent.stop());
  const { ours, theirs, painted } = await openBoth(t, relay);
  await painted(5);

  const good = await picture();
  const text = 'Objects:';
  assert.match(await refusal(relay, { image: 'http://127.0.0.1/x.jpg', text }), /data URL/);
  assert.match(await refusal(relay, { image: 'javascript:alert(1)', text }), /data URL/);
  assert.match(await refusal(relay, { image: 'data:text/html;base64,PHNjcmlwdD4=', text }), /data URL/);
  assert.match(await refusal(relay, { image: `${DATA_URL}!!!!`, text }), /base64/);
  assert.match(await refusal(relay, { image: DATA_URL + Buffer.from('GIF89a, not a JPEG').toString('base64'), text }), /JPEG/);
  assert.match(await refusal(relay, { image: good, text: 'x'.repeat(5 << 20) }), /text has 5242880 bytes/);
  assert.match(await refusal(relay, { image: good, text: { not: 'text' } }), /text|string|map/);
  assert.match(await refusal(relay, { text }), /image/);
  assert.match(await refusal(relay, 'nothing of it'), /cv2server/);
  // Larger than any message may be: the connection ends without a word.
  await refusal(relay, { image: DATA_URL + 'A'.repeat(50 << 20), text });

  assert.equal((await fetch(`${relay.url}/healthz`)).status, 200);
  await painted(10);
  assert.deepEqual((await state(ours)).cameras.map(({ name }) => name), ['front']);
  assert.deepEqual([...ours.complaints, ...theirs.complaints], []);
});

/** The data URL of a JPEG that ends behind its frame header. */
function headerOnly(width, height) {
  const size = [height >> 8, height & 255, width >> 8, width & 255];
  return DATA_URL + Buffer.from([0xff, 0xd8, 0xff, 0xc0, 0, 17, 8, ...size, 3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1]).toString('base64');
}

test('pictures that only look like some, and the longest text, do not disturb the pages', async (t) => {
  const relay = await startRelay();
  t.after(() => relay.stop());
  const socket = await connect(relay);
  t.after(() => socket.close());
  const good = await picture();
  const images = [good, headerOnly(640, 480), good, headerOnly(65535, 65535), good, headerOnly(0, 0), good, good.slice(0, DATA_URL.length + 2400)];
  // As long as is allowed, and nowhere to break a line.
  const text = 'x'.repeat(16 << 10);
  let sent = 0;
  const timer = setInterval(() => socket.emit('cv2server', { image: images[sent++ % images.length], text }), 100);
  t.after(() => clearInterval(timer));

  const { ours, painted } = await openBoth(t, relay);
  await painted(10);
  await until(ours, ({ panes }) => panes[0].counts.undecodable > 3, 60_000);
  await ours.waitForFunction((length) => document.getElementById('text').innerText.includes('x'.repeat(length)), text.length);
  assert.ok(await ours.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'the text widens the page');
  assert.deepEqual(ours.complaints, []);
});

const MARKUP = [
  '<script>window.hacked = 1</script>',
  '<img src=x onerror="window.hacked = 1">',
  '<svg onload="window.hacked = 1">',
  '"><iframe srcdoc="<script>parent.hacked = 1</script>"></iframe>',
  '&lt;b&gt;bold&lt;/b&gt;',
];

test('markup in the text is text, on our page and on theirs', async (t) => {
  const relay = await startRelay();
  t.after(() => relay.stop());
  const socket = await connect(relay);
  t.after(() => socket.close());
  const payload = { image: await picture(), text: ['Model: evil', ...MARKUP].join('<br />') };
  const timer = setInterval(() => socket.emit('cv2server', payload), 100);
  t.after(() => clearInterval(timer));

  const { ours, theirs, painted } = await openBoth(t, relay);
  await painted(10);
  await ours.waitForFunction(() => document.getElementById('text').innerText.includes('evil'));
  const lines = (await ours.innerText('#text')).split('\n').filter(Boolean);
  assert.deepEqual(lines, ['Model: evil', ...MARKUP]);

  for (const page of [ours, theirs]) {
    assert.equal(await page.evaluate(() => window.hacked), undefined);
    const elements = await page.evaluate(() => document.querySelectorAll('#text *:not(br):not(p):not(div):not(span), #streamer-text *:not(br)').length);
    assert.equal(elements, 0, 'the text made elements');
  }
  assert.deepEqual((await theirs.innerText('#streamer-text')).split('\n'), ['Model: evil', ...MARKUP]);
});
