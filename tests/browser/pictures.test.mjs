// Pictures and boxes of the page against a scripted relay: live, in step, hidden.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { state, until } from './lib/chromium.mjs';
import { camera, nowUs } from './lib/fake-relay.mjs';
import { fingerprint, inked, look } from './lib/overlay.mjs';
import { SIZE } from './lib/scene.mjs';
import { CAR, PERSON, open, page, paintOne, paintsOn, relay, said, scene, waitFor, watching } from './lib/scripted.mjs';

describe('pictures', () => {
  test('the canvas moves and every window of two is acknowledged', async () => {
    await open();
    await watching();
    scene.play(30);
    await until(page, ({ panes }) => panes[0]?.counts.painted > 5);
    const first = await fingerprint(page);
    await until(page, ({ panes }) => panes[0]?.counts.painted > 20);
    assert.notEqual(await fingerprint(page), first);
    const { panes } = await state(page);
    assert.deepEqual([panes[0].width, panes[0].height], [SIZE.width, SIZE.height]);
    const shown = said('shown').map(({ arg }) => arg.seq);
    assert.deepEqual(shown, [...shown].sort((a, b) => a - b), 'acknowledged in order');
    assert.ok(said('shown').every(({ arg }) => arg.camera === 'front'));
    assert.deepEqual(page.complaints, []);
  });

  test('what is not a picture is counted, acknowledged and harmless', async () => {
    await open();
    await watching();
    for (const jpeg of [Buffer.from('not a picture'), Buffer.alloc(0), Buffer.from([0xff, 0xd8, 0xff])]) {
      const { seq } = scene.frame({ jpeg });
      await waitFor(() => said('shown').some(({ arg }) => arg.seq >= seq));
    }
    await paintOne();
    const { panes } = await state(page);
    assert.equal(panes[0].counts.undecodable, 3);
  });

  test('a restarted camera, whose numbers start again, is shown at once', async () => {
    await open();
    await watching();
    scene.seq = 5000;
    await paintOne();
    scene.seq = -1;
    await paintOne();
    assert.equal((await state(page)).panes[0].seq, 0);
  });

  test('a hidden page lets the camera go and takes it up again', async () => {
    await open();
    await watching();
    scene.play(30);
    await until(page, ({ panes }) => panes[0]?.counts.painted > 3);
    await page.evaluate(() => {
      Object.defineProperty(document, 'hidden', { value: true, configurable: true });
      document.dispatchEvent(new Event('visibilitychange'));
    });
    await waitFor(() => said('unwatch').length === 1);
    await page.evaluate(() => {
      delete document.hidden;
      document.dispatchEvent(new Event('visibilitychange'));
    });
    await watching(2);
    await paintsOn();
  });

  test('a page that is never repainted lets the camera go instead of stalling', async () => {
    await open();
    await watching();
    await paintOne();
    await page.evaluate(() => {
      const real = window.requestAnimationFrame;
      window.held = [];
      window.requestAnimationFrame = (callback) => held.push(callback);
      window.release = () => {
        window.requestAnimationFrame = real;
        for (const callback of held) real(callback);
      };
    });
    scene.play(30);
    await waitFor(() => said('unwatch').length === 1);
    await page.evaluate(() => window.release());
    await watching(2);
    await paintsOn();
  });
});

describe('boxes', () => {
  const allDrawn = ({ top, bottom, left, right }) =>
    [top, bottom, left, right].every((share) => share > 0.95);

  test('lie where the detections say, in the colour of their class', async () => {
    await open();
    await watching();
    await paintOne();
    scene.detect([PERSON, CAR]);
    await until(page, ({ panes }) => panes[0]?.boxesAgeUs === 0);
    const elsewhere = { label: 'Person', box: [0.05, 0.05, 0.15, 0.2] };
    const { drawn } = await look(page, [PERSON, CAR, elsewhere]);
    assert.ok(allDrawn(drawn[0]) && allDrawn(drawn[1]), JSON.stringify(drawn));
    assert.ok(Object.values(drawn[2]).every((share) => share === 0), 'the measure itself can say no');
  });

  test('disappear with the next detections and when switched off', async () => {
    await open();
    await watching();
    await paintOne();
    scene.detect([PERSON]);
    await until(page, ({ panes }) => panes[0]?.boxesAgeUs === 0);
    assert.ok((await inked(page)) > 100);
    await page.keyboard.press('b');
    await until(page, ({ panes }) => panes[0]?.boxesAgeUs === null);
    assert.equal(await inked(page), 0);
    await page.click('#boxes');
    await until(page, ({ panes }) => panes[0]?.boxesAgeUs === 0);
    assert.ok((await inked(page)) > 100);
    await paintOne();
    scene.detect([]);
    await until(page, ({ panes }) => panes[0]?.boxesAgeUs === 0);
    assert.equal(await inked(page), 0);
  });

  test('that are older than the picture are dashed and say their age', async () => {
    await open();
    await watching();
    const meta = await paintOne();
    scene.detect([PERSON], { seq: meta.seq + 1000, capturedUs: meta.captured_us - 700_000 });
    await until(page, ({ panes }) => panes[0]?.boxesAgeUs === 700_000);
    const [{ bottom }] = (await look(page, [PERSON])).drawn;
    assert.ok(bottom > 0.3 && bottom < 0.9, `dashed: ${bottom}`);
    await page.waitForFunction(() => document.querySelector('#detect-note').textContent === 'boxes 700 ms old');
    scene.detect([PERSON], { seq: meta.seq + 1001, capturedUs: meta.captured_us - 6_000_000 });
    await until(page, ({ panes }) => panes[0]?.boxesAgeUs === null);
    assert.equal(await inked(page), 0, 'boxes that say nothing any more are not drawn');
  });

  test('are the picture’s own even where it lags behind the detections', async () => {
    await open();
    await watching();
    scene.frame();
    const first = scene.seq;
    scene.detect([PERSON]);
    for (let later = 1; later <= 20; later++) {
      scene.detect([CAR], { seq: first + later, capturedUs: scene.capturedUs + later * 33_000 });
    }
    const { panes } = await until(page, ({ panes }) => panes[0]?.seq === first && panes[0].boxesOf?.seq === first);
    assert.equal(panes[0].boxesAgeUs, 0);
  });

  test('drawn into the picture by the agent are not drawn again', async () => {
    await open();
    await watching();
    scene.seq++;
    const meta = { camera: 'front', seq: scene.seq, captured_us: nowUs(), annotated: true, ...SIZE };
    relay.frame(meta, (await import('./lib/pictures.mjs')).clip()[0]);
    await until(page, ({ panes }) => panes[0]?.seq === 0);
    scene.detect([PERSON], { capturedUs: meta.captured_us });
    await page.waitForFunction(() => document.querySelector('#objects').children.length === 1);
    assert.equal(await inked(page), 0);
  });
});

describe('asleep', () => {
  test('a page that slept shows the newest picture within a second, and no old one', async () => {
    await open();
    await watching();
    scene.play(30);
    await paintsOn();
    // Nothing runs in the page, as when its machine sleeps; what it is sent meanwhile waits for it.
    await page.evaluate(() => {
      const until = performance.now() + 6000;
      while (performance.now() < until);
      window.awakeUs = (performance.timeOrigin + performance.now()) * 1000;
      window.seen = [];
      const look = () => {
        const us = (performance.timeOrigin + performance.now()) * 1000;
        const { capturedUs, counts } = window.cv.state.panes[0];
        window.seen.push({ us, capturedUs, painted: counts.painted });
        if (us - window.awakeUs < 3e6) requestAnimationFrame(look);
      };
      requestAnimationFrame(look);
    });
    await page.waitForFunction(() => (performance.timeOrigin + performance.now()) * 1000 - window.awakeUs > 3e6);
    const { seen, awakeUs } = await page.evaluate(() => ({ seen: window.seen, awakeUs: window.awakeUs }));
    const before = seen[0].painted;
    const fresh = seen.find(({ us, capturedUs }) => us - capturedUs < 1e6);
    assert.ok(fresh && fresh.us - awakeUs < 1e6, `the first fresh one after ${(fresh?.us - awakeUs) / 1000} ms`);
    const old = seen.filter(({ us, capturedUs, painted }) => painted > before && us - capturedUs > 1e6);
    assert.deepEqual(old, []);
  });
});

describe('in step', () => {
  test('each picture waits for its own boxes', async () => {
    await open();
    await watching();
    await page.click('[data-mode=step]');
    scene.detect([], { seq: 0 }); // from now on pictures wait
    await paintOne(); // the one that these were found in
    for (let round = 0; round < 6; round++) {
      // A slow detector: it finishes with a frame when the next ones are there already.
      const searched = scene.frame();
      for (let i = 0; i < 3; i++) {
        const { seq } = scene.frame();
        await waitFor(() => said('shown').some(({ arg }) => arg.seq >= seq));
      }
      scene.detect([PERSON], { seq: searched.seq, capturedUs: searched.captured_us });
      const { panes } = await until(page, ({ panes }) => panes[0]?.seq === searched.seq);
      assert.equal(panes[0].boxesAgeUs, 0);
      assert.equal(panes[0].boxesOf.seq, searched.seq);
    }
    await page.waitForFunction(() => document.querySelector('#detect-note').textContent === 'boxes of this picture');
  });

  test('a searched frame that never came: the one before it is shown in time, without boxes', async () => {
    await open();
    await watching();
    await page.click('[data-mode=step]');
    scene.detect([], { seq: 0 });
    for (let i = 0; i < 3; i++) {
      const { seq } = scene.frame();
      await waitFor(() => said('shown').some(({ arg }) => arg.seq >= seq));
    }
    scene.seq = 9;
    const last = scene.frame(); // 3 to 9 were skipped on the way
    await waitFor(() => said('shown').some(({ arg }) => arg.seq >= last.seq));
    await new Promise((resolve) => setTimeout(resolve, 600));
    scene.detect([PERSON], { seq: 4, capturedUs: last.captured_us - 200_000 });
    const { panes } = await until(page, ({ panes }) => panes[0]?.seq === 2);
    assert.equal(panes[0].boxesOf, null);
  });

  test('pictures flow without waiting when no detections come', async () => {
    await open();
    await watching();
    await page.click('[data-mode=step]');
    scene.play(30);
    await until(page, ({ panes }) => panes[0]?.counts.painted > 20);
    await page.waitForFunction(() => document.querySelector('#detect-note').textContent === 'none come: showing live');
  });
});
