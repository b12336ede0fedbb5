// The page in Chromium against a scripted relay, both fresh for each test of the file that imports this.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach } from 'node:test';
import { openPage, startChromium, state, until } from './chromium.mjs';
import { FakeRelay, camera } from './fake-relay.mjs';
import { SIZE, Scene } from './scene.mjs';

export const PERSON = { label: 'Person', score: 0.875, box: [0.2, 0.3, 0.8, 0.55] };
export const CAR = { label: 'Car', score: 0.61, box: [0.5, 0.62, 0.9, 0.97], id: 7 };

let browser;
export let relay;
export let scene;
export let page;

before(async () => {
  browser = await startChromium();
});
after(() => browser.close());

beforeEach(async () => {
  relay = await FakeRelay.start();
  relay.cameras([camera('front', SIZE)]);
  scene = new Scene(relay, 'front');
});
afterEach(async () => {
  scene.stop();
  await page?.close();
  await relay.stop();
});

export async function open(hash = '', options) {
  page = await openPage(browser.context, relay.url + hash, options);
}

export const text = (selector) => page.textContent(selector);
export const watching = (count = 1) => waitFor(() => count <= said('watch').length);
export const said = (event) => relay.received.filter((message) => message.event === event);

export async function waitFor(condition, timeout = 10_000) {
  const until = performance.now() + timeout;
  while (!condition()) {
    assert.ok(performance.now() < until, `waited ${timeout} ms for ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Plays frames until the page has painted one. */
export async function paintOne(options) {
  const meta = scene.frame(options);
  await until(page, ({ panes }) => panes[0]?.seq === meta.seq);
  return meta;
}

/** Waits until the page has painted a few more frames. */
export async function paintsOn() {
  const { counts } = (await state(page)).panes[0];
  await until(page, ({ panes }) => panes[0]?.counts.painted > counts.painted + 5);
}
