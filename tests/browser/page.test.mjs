// The page around the pictures against a scripted relay: what it shows, says and asks for.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { state, until } from './lib/chromium.mjs';
import { camera, nowUs } from './lib/fake-relay.mjs';
import { SIZE, Scene } from './lib/scene.mjs';
import {
  CAR, PERSON, open, page, paintOne, paintsOn, relay, said, scene, text, waitFor, watching,
} from './lib/scripted.mjs';

describe('numbers', () => {
  test('the card follows the detections', async () => {
    await open();
    await watching();
    await paintOne();
    scene.detect([PERSON, CAR]);
    await page.waitForFunction(() => document.querySelector('#objects').children.length === 2);
    assert.equal(await text('#model'), 'ssd_test');
    assert.equal(await text('#engine-name'), 'LiteRT, XNNPACK (2 threads)');
    assert.equal(await text('#infer'), '0.012 s');
    const rows = await page.$$eval('#objects li', (items) =>
      items.map((item) => [...item.children].map(({ textContent }) => textContent).filter(Boolean)),
    );
    assert.deepEqual(rows, [['Person', '87.50%'], ['Car', '#7', '61.00%']]);
    await paintOne();
    scene.detect([], { infer_ms: 1234.6 });
    await page.waitForFunction(() => document.querySelector('#objects').children.length === 0);
    assert.equal(await text('#infer'), '1.235 s');
  });

  test('age and hops are right although all three clocks differ', async () => {
    relay.clockAheadUs = 3_600_000_000; // an hour
    scene.clockUs = -90_000_000; // the agent is a minute and a half behind
    relay.cameras([camera('front', { ...SIZE, clock_offset_us: 3_690_000_000 })]);
    await open();
    await watching();
    await until(page, ({ clock }) => clock !== null);
    const { clock } = await state(page);
    const error = Math.abs(clock.offset - relay.clockAheadUs);
    assert.ok(error <= clock.roundTrip / 2 + 1000, `off by ${error} us, round trip ${clock.roundTrip} us`);
    // Taken 40 ms before the relay had it; the agent needed 2 ms of that.
    scene.play(20);
    scene.frame = ((frame) => () => frame.call(scene, { ageMs: 40 }))(Scene.prototype.frame);
    await page.waitForFunction(() => document.querySelector('#age').textContent !== '–');
    await until(page, ({ panes }) => panes[0]?.counts.painted > 15);
    const { hops, latency } = (await state(page)).panes[0];
    assert.ok(Math.abs(hops.agent - 2) < 0.01, `agent ${hops.agent}`);
    assert.ok(hops.uplink > 37 && hops.uplink < 2000, `uplink ${hops.uplink}`);
    assert.ok(hops.total > 39 && latency.total < 10_000, `age ${hops.total}`);
    const sum = ['agent', 'uplink', 'downlink', 'hold', 'decode', 'paint'].reduce((sum, hop) => sum + hops[hop], 0);
    assert.ok(Math.abs(sum - hops.total) < 0.01, `hops sum up: ${sum} of ${hops.total}`);
  });

  test('whose clock is set, and when: no age is ever absurd, and it is right again within 2 s', async () => {
    const DAY_US = 86_400e6;
    let offset = 0;
    const tellOffset = (us) => {
      offset = us;
      relay.cameras([camera('front', { ...SIZE, clock_offset_us: offset })]);
    };
    const setRelay = (us, told) => {
      relay.clockAheadUs += us;
      if (told) relay.send('clock', { set_by_us: us });
      tellOffset(offset + us);
    };
    await open();
    await watching();
    await until(page, ({ clock }) => clock !== null);
    scene.play(20);
    await page.evaluate(() => {
      window.ages = [];
      setInterval(() => window.ages.push(document.querySelector('#age').textContent), 20);
    });
    const right = () => page.waitForFunction(() => Number(document.querySelector('#age').textContent) < 1000, null, { timeout: 2000 });
    await right();
    const jumps = {
      'the relay’s, forward': () => setRelay(14 * DAY_US, true),
      'the relay’s, back': () => setRelay(-15 * DAY_US, true),
      'the relay’s, by less, and nobody says so': () => setRelay(90e6, false),
      'the relay’s, back, and nobody says so': () => setRelay(-DAY_US, false),
      'the agent’s, forward': () => {
        scene.clockUs += 14 * DAY_US;
        setTimeout(() => tellOffset(offset - 14 * DAY_US), 1000);
      },
      'the agent’s, back': () => {
        scene.clockUs -= 15 * DAY_US;
        setTimeout(() => tellOffset(offset + 15 * DAY_US), 1000);
      },
      'this machine’s': () => page.evaluate((us) => {
        const { now } = Date;
        Date.now = () => now.call(Date) + us / 1000;
      }, 14 * DAY_US),
    };
    for (const [whose, jump] of Object.entries(jumps)) {
      await jump();
      // What was shown before it goes on to count for a second.
      await new Promise((resolve) => setTimeout(resolve, 1100));
      await right().catch(() => assert.fail(whose));
      // Doubts are put off for five seconds; the next jump is another day's.
      if (whose.endsWith('says so')) await new Promise((resolve) => setTimeout(resolve, 5000));
    }
    const ages = await page.evaluate(() => window.ages);
    const absurd = ages.filter((age) => age !== '–' && !(Number(age.replace(',', '')) >= 0 && Number(age.replace(',', '')) < 10_000));
    assert.deepEqual(absurd, []);
    assert.ok(ages.includes('–'), 'the agent’s new offset takes a second to become known');
  });

  test('what is not known is marked, not made up', async () => {
    relay.cameras([camera('front', { ...SIZE, clock_offset_us: undefined })]);
    await open();
    await watching();
    await paintOne();
    await page.waitForFunction(() => document.querySelector('#age-note').textContent === 'clocks not reconciled');
    assert.equal(await text('#age'), '–');
    const agent = await page.$$eval('#agent dd', (items) => items.map(({ textContent }) => textContent));
    assert.deepEqual(agent, ['–', '–', '–', '–', '–', '–', '–', '–', '–', '1']);
  });

  test('the agent’s own numbers and drops are shown', async () => {
    await open();
    await watching();
    relay.send('stats', {
      camera: 'front',
      capture_fps: 30.04,
      stream_fps: 14.9,
      detect_fps: 7.5,
      dropped: { 'newer frame came': 1234 },
      cpu: 33.6,
      rss_mb: 38.2,
      temp_c: 51.2,
      round_trip_ms: 3.21,
      objects_found: 1234,
      objects_lost: 1230,
      reduced_to: '320x240',
    });
    await page.waitForFunction(() => document.querySelector('#agent').textContent.includes('34 %'));
    const agent = await text('#agent');
    for (const part of ['30.0 fps', '14.9 fps', '7.5 fps', '38 MB', '51 °C', '3.2 ms', '1,234, 1,230 left']) {
      assert.ok(agent.includes(part), `${part} in ${agent}`);
    }
    assert.match(await text('#drops'), /newer frame came1,234/);
    assert.equal(await text('#agent-note'), 'slow link: 320x240');
    relay.send('stats', { camera: 'front', capture_fps: 30, stream_fps: 15, detect_fps: 3, unchanged_fps: 22, dropped: {}, cpu: 1, rss_mb: 38 });
    await page.waitForFunction(() => document.querySelector('#agent').textContent.includes('3.0 of 25.0 fps, the rest unchanged'));
  });
});

describe('states', () => {
  const notice = (selector = '.pane .notice') =>
    page.$eval(selector, (element) => (element.hidden ? null : element.innerText));
  const noticed = (title) =>
    page.waitForFunction(
      (title) => [...document.querySelectorAll('.notice:not([hidden]) .notice-title')]
        .some(({ textContent }) => textContent.startsWith(title)),
      title,
    );

  test('no cameras: the page says how to start one', async () => {
    relay.cameras([]);
    await open();
    await noticed('No cameras yet');
    const command = await text('#empty code');
    assert.equal(command, `cv-agent --camera 0 --server ${relay.url.slice(0, -1)}`);
    // The first camera that comes is shown without further action.
    relay.cameras([camera('front', SIZE)]);
    await watching();
    await paintOne();
    assert.equal(await page.$eval('#empty', ({ hidden }) => hidden), true);
  });

  test('camera gone, agent gone, and back', async () => {
    await open();
    await watching();
    await paintOne();
    const since_us = nowUs() - 125_000_000;
    relay.cameras([camera('front', { ...SIZE, state: 'fault', fault: 'lost /dev/video0', since_us })]);
    await noticed('Camera gone since');
    assert.match(await notice(), /Lost \/dev\/video0. Gone for 2 min./);
    relay.cameras([camera('front', { ...SIZE, state: 'offline', since_us })]);
    await noticed('Camera offline');
    relay.cameras([camera('front', SIZE)]);
    await paintOne();
    await page.waitForFunction(() => document.querySelector('.pane .notice').hidden);
  });

  test('the relay goes and comes back: the page recovers by itself', async () => {
    await open();
    await watching();
    scene.play(30);
    await until(page, ({ panes }) => panes[0]?.counts.painted > 5);
    await relay.stop();
    await noticed('Relay lost');
    assert.match(await text('#link'), /Reconnecting|Retry|Connecting/);
    await relay.listen();
    await watching(2);
    await paintsOn();
    await page.waitForFunction(() => document.querySelector('.pane .notice').hidden);
    assert.equal(await text('#link-text'), 'Connected');
  });

  test('a relay that accepts but never answers is given up on and tried again', async () => {
    relay.pingInterval = 300;
    await open();
    await watching();
    for (const viewer of relay.viewers) {
      clearInterval(viewer.ping);
      // From here on it says nothing at all; the page knows after ping interval and time-out.
      viewer.send = () => {};
    }
    // The scripted relay's time-out is 20 s; the handshake's numbers decide, so give it that long.
    await until(page, ({ link }) => link !== 'connected', 30_000);
    await watching(2);
  });

  test('a silent camera that counts as live is reported', async () => {
    await open();
    await watching();
    await paintOne();
    await noticed('No picture');
  });
});

describe('token', () => {
  const connected = () => until(page, ({ link }) => link === 'connected');

  test('is asked for, kept for the tab, and asked for again when wrong', async () => {
    relay.token = 'secret';
    await open();
    await page.waitForSelector('#token[open]');
    assert.match(await text('#token-message'), /set when the relay was started/);
    await page.fill('#token-input', 'wrong');
    await page.keyboard.press('Enter');
    await page.waitForFunction(() => document.querySelector('#token').open && document.querySelector('#token-message').textContent.includes('asks viewers for a token'));
    assert.equal(await page.inputValue('#token-input'), '');
    await page.fill('#token-input', 'secret');
    await page.keyboard.press('Enter');
    await connected();
    await page.reload();
    await connected();
  });

  test('in the address is used and taken out of it', async () => {
    relay.token = 'secret';
    await open('#camera=front&token=secret');
    await connected();
    assert.equal(await page.evaluate(() => location.hash), '#camera=front');
  });
});

describe('several cameras', () => {
  test('are chosen by click, key and address, and only the chosen one is watched', async () => {
    relay.cameras([camera('front', SIZE), camera('Küche 2', SIZE), camera('yard', { state: 'offline' })]);
    await open('#camera=K%C3%BCche+2');
    await watching();
    assert.equal(said('watch')[0].arg.camera, 'Küche 2');
    await page.click('.cameras button[title=yard]');
    await waitFor(() => said('unwatch').length === 1 && said('watch').length === 2);
    assert.equal(await page.evaluate(() => location.hash), '#camera=yard');
    await page.keyboard.press('1');
    await watching(3);
    assert.equal(said('watch')[2].arg.camera, 'front');
    assert.equal(await text('[aria-current] .camera-name'), 'front');
    assert.equal(await text('[aria-current] .sr-only'), ', live');
  });

  test('another camera’s coming and going leaves the picture alone', async () => {
    await open();
    await watching();
    relay.cameras([camera('a-new-one', SIZE), camera('front', SIZE)]);
    relay.cameras([camera('a-new-one', SIZE), camera('front', { ...SIZE, state: 'offline' })]);
    relay.cameras([camera('front', SIZE)]);
    await paintOne();
    assert.deepEqual(said('watch').map(({ arg }) => arg.camera), ['front']);
    assert.equal(said('unwatch').length, 0);
  });

  test('side by side all move', async () => {
    relay.cameras([camera('front', SIZE), camera('yard', SIZE)]);
    const second = new Scene(relay, 'yard');
    await open('#all');
    await watching(2);
    scene.play(30);
    second.play(30);
    await until(page, ({ panes }) => panes.length === 2 && panes.every(({ counts }) => counts.painted > 20));
    second.stop();
    await page.click('.open[aria-label="Show yard alone"]');
    await until(page, ({ selected, panes }) => selected === 'yard' && panes.length === 1);
  });
});

describe('hostile senders', () => {
  const MARKUP = '<img src=x onerror="window.owned=1"><script>window.owned=1</script><b>bold</b>';

  test('text is text', async () => {
    await open();
    await watching();
    relay.send('text', { camera: 'front', text: `Model: x<br />${MARKUP}<br/>Objects:<br />` + 'A'.repeat(2 << 20) });
    await page.waitForFunction(() => !document.querySelector('#text').hidden);
    assert.equal(await text('#text p:nth-child(2)'), MARKUP);
    assert.equal(await page.$('#text img, #text b, #text script'), null);
    assert.ok((await text('#text')).length < 20_000, 'megabytes are cut');
    assert.equal(await page.evaluate(() => window.owned), undefined);
  });

  test('names, labels and nonsense numbers do no harm', async () => {
    relay.cameras([camera('front', SIZE), camera(MARKUP.slice(0, 60)), { name: 7 }, null, 'x', { ...camera('odd'), state: MARKUP }]);
    await open('#camera=front');
    await watching();
    const meta = await paintOne();
    scene.detect([
      { label: MARKUP, score: 0.9, box: [0.1, 0.1, 0.5, 0.5] },
      { label: 'far out', score: 2, box: [-9, -9, 9, 9] },
      { label: 'inside out', score: 0.5, box: [0.9, 0.9, 0.1, 0.1] },
      { label: 'text', score: 0.5, box: ['a', 'b', 'c', 'd'] },
      { label: 'short', score: 0.5, box: [0, 1] },
      { label: null, score: 0.4, box: [0, 0, 1, 1] },
      null,
      7,
      ...Array.from({ length: 5000 }, () => PERSON),
    ], { model: { toString: MARKUP }, engine: 7, accelerator: null, infer_ms: 'x' });
    await until(page, ({ panes }) => panes[0]?.boxesAgeUs === 0);
    await page.waitForFunction(() => document.querySelector('#objects').children.length === 50);
    for (const objects of [undefined, 'x', {}, 7]) scene.detect(objects);
    relay.send('stats', { camera: 'front', dropped: { [MARKUP]: 'x' }, cpu: MARKUP, rss_mb: null, camera_fault: 5 });
    relay.send('frame', 7);
    relay.send('detections');
    relay.send('cameras', 'x');
    relay.send('clock', { t0: 'x' });
    for (const viewer of relay.viewers) viewer.sendFrame({ camera: 'front', seq: 'x' }, Buffer.from('x'));
    scene.frame();
    await until(page, ({ panes }) => panes[0]?.seq > meta.seq);
    assert.equal(await page.evaluate(() => window.owned), undefined);
    assert.equal(await page.evaluate(() => document.querySelectorAll('main script, main b:not([id]), header script').length), 0);
    assert.deepEqual(page.complaints, []);
  });
});

describe('layout', () => {
  for (const [width, height] of [[320, 568], [390, 844], [844, 390], [768, 1024], [1024, 768], [1920, 1080]]) {
    test(`nothing is cut off at ${width} x ${height}`, async () => {
      relay.cameras([camera('front', SIZE), camera('a camera with quite a long name, really'), camera('yard')]);
      await open('#camera=front', { viewport: { width, height } });
      await watching();
      await paintOne();
      scene.detect([PERSON, CAR]);
      await page.waitForFunction(() => document.querySelector('#objects').children.length === 2);
      const outside = await page.evaluate(() => {
        const scrolls = (element) => element.closest('.cameras ul, .objects, aside') !== null;
        return [...document.querySelectorAll('header *, main *')]
          .filter((element) => element.checkVisibility() && !scrolls(element) && !element.matches('.sr-only'))
          .filter((element) => element.getBoundingClientRect().right > innerWidth + 0.5)
          .map((element) => element.outerHTML.slice(0, 80));
      });
      assert.deepEqual(outside, []);
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), width);
    });
  }

  test('pictures and detections move nothing', async () => {
    await open();
    await watching();
    const places = () => page.$$eval('section, .picture, aside, h2', (elements) =>
      elements.map((element) => JSON.stringify(element.getBoundingClientRect())));
    const beforehand = await places();
    await paintOne();
    scene.detect([PERSON, CAR]);
    relay.send('stats', { camera: 'front', cpu: 20, dropped: { slow: 1 } });
    await page.waitForFunction(() => document.querySelector('#drops').textContent.includes('slow'));
    assert.deepEqual(await places(), beforehand);
  });
});
