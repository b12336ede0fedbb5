// Clocks that are set and programs that stand still, with the real relay and the real agent: what the
// page shows meanwhile and how soon it is right again.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openPage, startChromium, until } from './lib/chromium.mjs';
import { startAgent, startRelay } from './lib/programs.mjs';

/** Debian's package `faketime`: answers questions for the time of day, and leaves the steady clock alone. */
const FAKETIME = ['x86_64-linux-gnu', 'aarch64-linux-gnu']
  .map((machine) => `/usr/lib/${machine}/faketime/libfaketime.so.1`)
  .find(existsSync);
const LIMIT = { timeout: 240_000 };
const NAME = 'front';

let browser;
let folder;
before(async () => {
  browser = await startChromium();
  folder = await mkdtemp(join(tmpdir(), 'pauses-test-'));
});
after(async () => {
  await browser?.close();
  await rm(folder, { recursive: true, force: true });
});

/** A clock of a program's own: `env` for the program, `set(text)` moves it, as in `+14d`. */
async function ownClock(name) {
  const file = join(folder, name);
  const set = (text) => writeFile(file, `${text}\n`);
  await set('+0');
  return {
    set,
    env: {
      LD_PRELOAD: FAKETIME,
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_NO_CACHE: '1',
      DONT_FAKE_MONOTONIC: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    },
  };
}

/** Relay, agent and page; each program may have an environment of its own. */
async function start(t, { relayEnv, agentEnv } = {}) {
  const relay = await startRelay({ env: relayEnv });
  t.after(() => relay.stop());
  const agent = startAgent(relay.url, { source: 'test:320x240@20', name: NAME, args: ['--no-detect'], env: agentEnv });
  t.after(() => agent.stop());
  const page = await openPage(browser.context, relay.url);
  t.after(() => page.close());
  await page.waitForFunction(() => Number(document.querySelector('#age').textContent) >= 0, null, { timeout: 60_000 });
  await until(page, ({ panes: [pane] }) => pane?.counts.painted > 30);
  return { relay, agent, page };
}

/** Keeps what the page says of the age, at every repaint, and which pictures it shows. */
const observe = (page) =>
  page.evaluate(() => {
    window.seen = [];
    const pageUs = () => (performance.timeOrigin + performance.now()) * 1000;
    const look = () => {
      const { capturedUs, counts } = window.cv.state.panes[0];
      const [age, note, chip] = ['#age', '#age-note', '.chip.rate'].map((part) => document.querySelector(part).textContent);
      window.seen.push({ at: performance.now(), capturedUs, us: pageUs(), painted: counts.painted, age, note, chip });
      requestAnimationFrame(look);
    };
    look();
  });

const number = (text) => Number(text.replaceAll(',', ''));
const absurd = ({ age }) => age !== '–' && !(number(age) >= 0 && number(age) < 20_000);

for (const whose of ['agent', 'relay']) {
  test(`the ${whose}'s clock is set: no absurd age, and the right one within 2 s`, { ...LIMIT, skip: !FAKETIME && 'needs the package faketime' }, async (t) => {
    const clock = await ownClock(whose);
    const { page } = await start(t, { [`${whose}Env`]: clock.env });
    await observe(page);
    for (const time of ['+14d', '-1d', '+3', '+0']) {
      const from = await page.evaluate(() => performance.now());
      await clock.set(time);
      await new Promise((resolve) => setTimeout(resolve, 4000));
      const seen = await page.evaluate((from) => window.seen.filter(({ at }) => at > from), from);
      assert.deepEqual(seen.filter(absurd), [], `set to ${time}`);
      const wrong = seen.filter(({ at, age }) => at > from + 2000 && !(number(age) < 3000));
      assert.deepEqual(wrong, [], `set to ${time}`);
    }
  });
}

for (const whose of ['relay', 'agent']) {
  test(`a ${whose} that stood still for 20 s: the newest picture within a second, and no old one`, LIMIT, async (t) => {
    const programs = await start(t);
    const { page } = programs;
    const { pid } = programs[whose];
    process.kill(pid, 'SIGSTOP');
    try {
      await new Promise((resolve) => setTimeout(resolve, 20_000));
      await observe(page);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    const from = await page.evaluate(() => performance.now());
    await new Promise((resolve) => setTimeout(resolve, 4000));
    const seen = await page.evaluate((from) => window.seen.filter(({ at }) => at > from), from);
    const fresh = seen.find(({ us, capturedUs }) => us - capturedUs < 1e6);
    assert.ok(fresh, 'no new picture within 4 s');
    assert.ok(fresh.at - from < 1000, `the newest picture after ${Math.round(fresh.at - from)} ms`);
    const old = seen.filter(({ painted, us, capturedUs }) => painted > seen[0].painted && us - capturedUs > 2e6);
    assert.deepEqual(old, [], 'old pictures were shown');
  });
}
