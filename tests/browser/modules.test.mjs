// The page's modules one at a time, in the browser that runs them.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { openPage, startChromium } from './lib/chromium.mjs';
import { FakeRelay } from './lib/fake-relay.mjs';

let browser;
let relay;
let page;

before(async () => {
  browser = await startChromium();
  relay = await FakeRelay.start();
  page = await openPage(browser.context, `${relay.url}icon.svg`);
});
after(async () => {
  await browser.close();
  await relay.stop();
});

/** Runs `body(module, ...args)` in the page with the module loaded. */
const run = (file, body, ...args) =>
  page.evaluate(`(async () => {
    const module = await import('/${file}');
    return (${body})(module, ...${JSON.stringify(args)});
  })()`);

describe('socket.js', () => {
  const parse = (text) => run('socket.js', ({ parsePacket }, text) => parsePacket(text), text);

  test('packets are split as the protocol writes them', async () => {
    assert.deepEqual(await parse('2["a",1]'), { type: 2, attachments: 0, namespace: '/', data: ['a', 1] });
    assert.deepEqual(await parse('51-/web,["frame",{},{"_placeholder":true,"num":0}]'), {
      type: 5,
      attachments: 1,
      namespace: '/web',
      data: ['frame', {}, { _placeholder: true, num: 0 }],
    });
    assert.deepEqual(await parse('2/web,17["a","b,c"]'), {
      type: 2,
      attachments: 0,
      namespace: '/web',
      data: ['a', 'b,c'],
    });
    assert.equal((await parse('1/web,')).namespace, '/web');
    assert.deepEqual((await parse('4/web,{"message":"no"}')).data, { message: 'no' });
  });

  test('what is not a packet is refused', async () => {
    for (const text of ['', '9', 'x["a"]', '2/web,["a"', '2nonsense']) {
      await assert.rejects(parse(text), undefined, text);
    }
  });

  test('waiting doubles up to a cap and is spread over half of it', async () => {
    const waits = (random) =>
      run('socket.js', ({ backoff }, random) => [0, 1, 2, 3, 4, 5, 50, 5000].map((n) => backoff(n, random)), random);
    assert.deepEqual(await waits(1), [300, 600, 1200, 2400, 3500, 3500, 3500, 3500]);
    assert.deepEqual(await waits(0), [150, 300, 600, 1200, 1750, 1750, 1750, 1750]);
  });
});

describe('clock.js', () => {
  test('offset and round trip are exact on a symmetric path', async () => {
    // The relay is 1000 us ahead, each way takes 200 us, and it thinks for 50 us.
    const result = await run('clock.js', ({ exchange }) =>
      exchange({ t0: 10_000, t1: 11_200, t2: 11_250 }, 10_450),
    );
    assert.deepEqual(result, { offset: 1000, roundTrip: 400 });
  });

  test('the exchange with the shortest round trip wins, nonsense is ignored', async () => {
    const best = await run('clock.js', ({ RelayClock, pageNow }) => {
      const clock = new RelayClock(() => {});
      const before = [clock.best, clock.toRelay(5)];
      const now = pageNow();
      // All the time of a long way may have gone into one direction.
      const ahead = now + 7_000_000;
      clock.answer({ t0: now - 50_000, t1: ahead, t2: ahead });
      clock.answer({ t0: now - 1000, t1: ahead, t2: ahead });
      clock.answer({ t0: now - 90_000, t1: ahead, t2: ahead });
      for (const bad of [null, {}, { t0: 'x', t1: 1, t2: 2 }, { t0: now + 1e9, t1: 0, t2: 0 }]) clock.answer(bad);
      return { before, offset: clock.best.offset };
    });
    assert.deepEqual(best.before, [null, null]);
    assert.ok(Math.abs(best.offset - 7_000_000) < 10_000, String(best.offset));
  });

  test('a relay whose clock is set is followed at once, told or not', async () => {
    const day = 86_400e6;
    const offsets = await run('clock.js', ({ RelayClock, pageNow }, day) => {
      const clock = new RelayClock(() => {});
      const answer = (ahead, roundTrip) => {
        const t0 = pageNow() - roundTrip;
        clock.answer({ t0, t1: t0 + ahead + roundTrip / 2, t2: t0 + ahead + roundTrip / 2 });
        return clock.best.offset;
      };
      const offsets = [answer(0, 1000), answer(14 * day, 90_000), answer(14 * day, 50_000)];
      clock.answer({ set_by_us: -15 * day });
      return [...offsets, clock.best.offset, answer(-day, 2000), answer(-day + 40_000, 90_000)];
    }, day);
    const wanted = [0, 14 * day, 14 * day, -day, -day, -day];
    offsets.forEach((offset, i) => assert.ok(Math.abs(offset - wanted[i]) < 10_000, `${i}: ${offset}`));
  });

  test('doubts are asked about, but not again and again', async () => {
    const asked = await run('clock.js', async ({ RelayClock }) => {
      let asked = 0;
      const clock = new RelayClock(() => asked++);
      clock.start();
      for (let i = 0; i < 10; i++) clock.doubt();
      const soon = asked;
      clock.stop();
      const other = new RelayClock(() => asked++);
      other.doubt();
      other.stop();
      return [soon, asked];
    });
    assert.deepEqual(asked, [1, 1]);
  });
});

describe('stream.js', () => {
  // A decoder that finishes when told, and pictures that know whether they were closed.
  const withStream = (body, ...args) =>
    run(
      'stream.js',
      `async ({ Stream }, ...args) => {
        const decoding = [];
        const open = new Set();
        const decode = (blob) => new Promise((resolve, reject) => decoding.push({ blob, resolve, reject }));
        const finish = async () => {
          const { resolve, blob } = decoding.shift();
          const bitmap = { blob, close: () => open.delete(bitmap) };
          open.add(bitmap);
          resolve(bitmap);
          await new Promise((done) => setTimeout(done));
        };
        const stream = new Stream({ wake() {}, decode });
        const frame = (seq, size = 10) => stream.frame({ seq, captured_us: seq * 1000 }, { size, seq });
        const detected = (seq) => stream.detected({ seq, captured_us: seq * 1000, objects: [] });
        return (${body})({ stream, frame, detected, decoding, open, finish }, ...args);
      }`,
      ...args,
    );

  test('live: two pictures at most, the newest waits, the rest is skipped', async () => {
    const seen = await withStream(async ({ stream, frame, decoding, open, finish }) => {
      for (const seq of [0, 1, 2, 3]) frame(seq);
      const first = decoding.map(({ blob }) => blob.seq);
      await finish(); // 0 waits, 1 decodes: 3 has to wait
      const second = decoding.map(({ blob }) => blob.seq);
      await finish(); // 1 takes the place of 0, which nobody painted
      await finish(); // and 3 that of 1
      const taken = stream.take();
      return { first, second, taken: taken.meta.seq, open: open.size, acknowledge: stream.acknowledge, counts: stream.counts };
    });
    assert.deepEqual(seen.first, [0, 1]);
    assert.deepEqual(seen.second, [1]);
    assert.equal(seen.taken, 3);
    assert.equal(seen.open, 1, 'only the one that was taken');
    assert.equal(seen.acknowledge, 3);
    assert.deepEqual(seen.counts, { received: 4, painted: 1, skipped: 3, missed: 0, paced: 0, undecodable: 0 });
  });

  test('a decoder that is overtaken does not bring an old picture back', async () => {
    const seen = await withStream(async ({ stream, frame, decoding, open, finish }) => {
      frame(0);
      frame(1);
      decoding.reverse();
      await finish(); // 1
      const first = stream.take();
      first.bitmap.close();
      await finish(); // 0
      return [first.meta.seq, stream.take(), open.size];
    });
    assert.deepEqual(seen, [1, null, 0]);
  });

  test('what the rate asked for leaves out is not missed', async () => {
    const counts = await withStream(({ stream }) => {
      const frame = (seq, paced) => stream.frame({ seq, paced, captured_us: seq }, { size: 1 });
      // 25 frames a second, of which 20 are asked for: every fifth is left out, and 12 was lost.
      for (const [seq, paced] of [[0, 7], [1, 7], [2, 7], [3, 7], [5, 8], [6, 8], [7, 8], [8, 8], [10, 9], [11, 9], [13, 9], [15, 10]]) {
        frame(seq, paced);
      }
      return stream.counts;
    });
    assert.deepEqual([counts.paced, counts.missed], [3, 1]);
  });

  test('what the relay leaves out to keep to this page’s rate is not missed', async () => {
    const counts = await withStream(async ({ stream, frame }) => {
      stream.maxFps = 10;
      for (const seq of [0, 3, 6]) {
        frame(seq);
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      await new Promise((resolve) => setTimeout(resolve, 200));
      frame(15); // 300 ms later: this is more than the rate explains
      return stream.counts;
    });
    assert.deepEqual([counts.paced, counts.missed], [4, 8]);
  });

  test('between live and a recording nothing is missed', async () => {
    const counts = await withStream(({ stream, frame }) => {
      for (const seq of [4, 2 ** 40, 2 ** 40 + 2, 5, 6]) frame(seq);
      return stream.counts;
    });
    assert.deepEqual([counts.paced, counts.missed], [0, 0]);
  });

  test('gaps in the numbers are frames that never came', async () => {
    const missed = await withStream(({ stream, frame }) => {
      for (const seq of [4, 5, 9, 9, 2, 3]) frame(seq);
      return stream.counts.missed;
    });
    assert.equal(missed, 3);
  });

  test('what was on its way when the stream was reset is closed, not shown', async () => {
    const left = await withStream(async ({ stream, frame, open, finish }) => {
      frame(0);
      stream.reset();
      await finish();
      return [stream.take(), open.size];
    });
    assert.deepEqual(left, [null, 0]);
  });

  test('in step: frames are held compressed, within bounds, until detections name one', async () => {
    const seen = await withStream(async ({ stream, frame, detected, decoding, finish }) => {
      stream.inStep = true;
      detected(0);
      for (let seq = 1; seq <= 400; seq++) frame(seq);
      const counts = { ...stream.counts };
      const idle = decoding.length;
      // The neighbour of frame 0 was shown at once; 399 is held, and 5 was let go long ago.
      if (idle) await finish();
      stream.take();
      detected(399);
      await finish();
      const taken = stream.take();
      return { counts, idle, seq: taken.meta.seq, own: taken.detections.seq };
    });
    assert.equal(seen.counts.skipped, 400 - 150 - 1, '150 are held, one is shown');
    assert.deepEqual([seen.seq, seen.own], [399, 399]);
  });

  test('in step: a picture shown before detections came is acknowledged though they come', async () => {
    const acknowledge = await withStream(async ({ stream, frame, detected, finish }) => {
      stream.inStep = true;
      frame(0); // nothing was ever detected: shown without waiting
      await finish();
      detected(0);
      stream.take();
      return stream.acknowledge;
    });
    assert.equal(acknowledge, 0);
  });

  test('in step: each picture has its own boxes or none, never its neighbour’s', async () => {
    const seen = await withStream(async ({ stream, frame, detected, decoding, finish }) => {
      stream.inStep = true;
      const shown = [];
      const step = async () => {
        while (decoding.length > 0) await finish();
        const taken = stream.take();
        if (!taken) return;
        taken.bitmap.close();
        shown.push([taken.meta.seq, (taken.detections ?? stream.ownDetections(taken.meta))?.seq ?? null]);
      };
      detected(0); // in a frame that was never sent
      frame(1);
      await step(); // nothing has been shown yet: this one, without boxes
      detected(1);
      const late = stream.ownDetections({ seq: 1 }).seq;
      for (const seq of [2, 3, 5, 6, 8]) {
        frame(seq); // 4 and 7 are not sent
        for (const found of { 5: [4, 5], 8: [7, 8] }[seq] ?? [seq]) {
          detected(found);
          await step();
        }
      }
      return { shown, late };
    });
    assert.deepEqual(seen.shown, [[1, null], [2, 2], [3, 3], [5, 5], [6, 6], [8, 8]]);
    assert.equal(seen.late, 1, 'its own boxes are drawn once they come');
  });

  test('in step: where searched frames are seldom sent, pictures go on without boxes', async () => {
    const seen = await withStream(async ({ stream, frame, detected, decoding, finish }) => {
      stream.inStep = true;
      const shown = [];
      for (let seq = 0; seq < 8; seq += 2) {
        frame(seq);
        detected(seq + 1);
        frame(seq + 2);
        while (decoding.length > 0) await finish();
        const taken = stream.take();
        if (taken) shown.push([taken.meta.seq, taken.detections]);
        taken?.bitmap.close();
        await new Promise((resolve) => setTimeout(resolve, 550));
      }
      return shown;
    });
    assert.ok(seen.length >= 3, JSON.stringify(seen));
    assert.ok(seen.every(([, detections]) => detections === null), JSON.stringify(seen));
  });

  test('in step: large frames are held by their bytes', async () => {
    const held = await withStream(({ stream, frame, detected }) => {
      stream.inStep = true;
      detected(0);
      for (let seq = 1; seq <= 20; seq++) frame(seq, 1 << 20);
      return stream.counts.received - stream.counts.skipped;
    });
    assert.equal(held, 9, '8 MiB held, one shown');
  });

  test('leaving in step shows the newest picture and drops the rest', async () => {
    const seen = await withStream(async ({ stream, frame, detected, finish, open }) => {
      stream.inStep = true;
      detected(0);
      frame(0);
      await finish();
      stream.take().bitmap.close();
      for (const seq of [1, 2, 3]) frame(seq);
      stream.inStep = false;
      await finish();
      return [stream.take().meta.seq, open.size];
    });
    assert.deepEqual(seen, [3, 1]);
  });
});

describe('meters.js', () => {
  test('rates from below one to hundreds a second, falling when events stop', async () => {
    const rates = await run('meters.js', ({ Rate }) => {
      const at = (fps, seconds, later = 0) => {
        const rate = new Rate();
        let t = 0;
        for (; t <= seconds * 1000; t += 1000 / fps) rate.tick(t);
        return rate.value(t - 1000 / fps + later);
      };
      return [at(30, 5), at(240, 5), at(0.5, 20), at(30, 5, 4000), at(30, 5, 60_000), new Rate().value(0)];
    });
    assert.ok(Math.abs(rates[0] - 30) < 0.1, rates[0]);
    assert.ok(Math.abs(rates[1] - 240) < 1, rates[1]);
    assert.ok(Math.abs(rates[2] - 0.5) < 0.01, rates[2]);
    assert.ok(rates[3] < 15, `slowing down: ${rates[3]}`);
    assert.equal(rates[4], 0);
    assert.equal(rates[5], null);
  });
});

describe('latency.js', () => {
  test('hops are null where a stamp or a clock is missing', async () => {
    const [all, none] = await run('latency.js', ({ hopsOf }) => {
      const frame = {
        meta: { captured_us: 1_000_000, sent_us: 1_002_000, received_us: 5_009_000 },
        arrivedUs: 9_012_000,
        decodeUs: 9_012_500,
        decodedUs: 9_015_500,
      };
      const all = hopsOf(frame, 9_020_000, (us) => us - 4_000_000, 4_000_000);
      delete frame.meta.sent_us;
      return [all, hopsOf(frame, 9_020_000, () => null, null)];
    });
    assert.deepEqual(all, { agent: 2, uplink: 7, downlink: 3, hold: 0.5, decode: 3, paint: 4.5, total: 20, adjusting: false });
    assert.deepEqual(none, { agent: null, uplink: null, downlink: null, hold: 0.5, decode: 3, paint: 4.5, total: null, adjusting: false });
  });
});

describe('latency.js, when a clock is set', () => {
  test('no age is negative or absurd, and small errors of the clocks are 0', async () => {
    const seen = await run('latency.js', ({ hopsOf }) => {
      const frame = { meta: { captured_us: 1e15, received_us: 1e15 }, arrivedUs: 1e15, decodeUs: 1e15, decodedUs: 1e15 };
      return [0, -300_000, -14 * 86_400e6, 86_400e6, 30e6].map((error) => {
        const { total, adjusting } = hopsOf(frame, 1e15 + 5000, (us) => us + error, 0);
        return [total, adjusting];
      });
    });
    assert.deepEqual(seen, [[5, false], [0, false], [null, true], [null, true], [30_005, false]]);
  });

  test('what is played from a recording has no delay', async () => {
    const hops = await run('latency.js', ({ hopsOf }) => {
      const meta = { seq: 2 ** 40, captured_us: 1e14, received_us: 1e14 };
      const frame = { meta, arrivedUs: 1e15, decodeUs: 1e15, decodedUs: 1e15 };
      return hopsOf(frame, 1e15 + 5000, (us) => us, 0);
    });
    assert.deepEqual([hops.total, hops.downlink, hops.adjusting, hops.paint], [null, null, false, 5]);
  });
});

describe('limit.js', () => {
  test('the limit that was met is named', async () => {
    const texts = await run('limit.js', ({ Limit }) => {
      const none = { received: 0, painted: 0, skipped: 0, missed: 0, paced: 0 };
      const text = (grown, { link = 0, hops = {}, inStep = false } = {}) => {
        const limit = new Limit();
        limit.add({ ...none, received: 5, missed: 70 }, { dropped: { link: 50 } }, {}, false);
        const counts = { ...none, received: 105, missed: 70 };
        for (const [key, n] of Object.entries(grown)) counts[key] += n;
        limit.add(counts, { dropped: { link: 50 + link } }, hops, inStep);
        return limit.text;
      };
      return [
        new Limit().text,
        text({ received: -100 }),
        text({}),
        text({ paced: 25 }),
        text({ skipped: 55 }),
        text({ skipped: 55 }, { inStep: true }),
        text({ missed: 60, paced: 25 }, { link: 50 }),
        text({ missed: 60 }, { hops: { hold: 30, decode: 5, paint: 9, downlink: 12 } }),
        text({ missed: 60 }, { hops: { hold: 3, decode: 5, paint: 9, downlink: 120 } }),
      ];
    });
    assert.deepEqual(texts, [
      '', '', 'camera', 'rate asked for', 'this browser', 'detection', 'agent’s link', 'this browser', 'link to here',
    ]);
  });
});

describe('boxes.js', () => {
  test('what cannot be drawn is left out, what sticks out is cut', async () => {
    const usable = await run('boxes.js', ({ usableObjects }) => [
      usableObjects(undefined).length,
      usableObjects('x').length,
      usableObjects([
        { label: 'a', score: 0.5, box: [-1, 0.25, 2, 0.5], id: 3 },
        { label: 'b', score: 0.5, box: [0, 0, 0, 1] },
        { label: 'c', score: NaN, box: [0, 0, 1, 1] },
        { label: 'd'.repeat(1000), score: 0.1, box: [0, 0, 1, 1], id: '7' },
        { score: 0.1 },
        null,
      ]),
      usableObjects(Array(5000).fill({ label: 'x', score: 1, box: [0, 0, 1, 1] })).length,
    ]);
    assert.deepEqual(usable, [
      0,
      0,
      [
        { label: 'a', score: 0.5, box: [0, 0.25, 1, 0.5], id: 3 },
        { label: 'd'.repeat(40), score: 0.1, box: [0, 0, 1, 1], id: null },
      ],
      100,
    ]);
  });

  test('the commonest classes have hues that can be told apart', async () => {
    const hues = await run('boxes.js', ({ classHue }) =>
      ['person', 'bicycle', 'car', 'motorcycle', 'bus', 'truck', 'cat', 'dog', 'bird', 'chair'].map(classHue),
    );
    const sorted = hues.sort((a, b) => a - b);
    const gaps = sorted.map((hue, i) => (sorted[(i + 1) % sorted.length] - hue + 360) % 360);
    assert.ok(Math.min(...gaps) >= 20, sorted.join(' '));
  });
});

describe('format.js', () => {
  test('unknown is a dash, numbers have the tutorial’s digits', async () => {
    const texts = await run('format.js', ({ fixed, milliseconds, percent, seconds, duration }) => [
      fixed(undefined, 1), percent('x'), seconds(NaN), milliseconds(null),
      percent(0.875), seconds(12), milliseconds(3.14), milliseconds(1234.5),
      ...[0, 59_999, 60_000, 3_600_000, 7_500_000, 86_400_000, 400_000_000].map(duration),
    ]);
    assert.deepEqual(texts, [
      '–', '–', '–', '–', '87.50%', '0.012 s', '3.1', '1,235',
      '0 s', '59 s', '1 min', '1 h', '2 h 5 min', '1 day', '4 days',
    ]);
  });
});

describe('card.js', () => {
  test('a tutorial camera’s text is cut at its line breaks only', async () => {
    const lines = await run('card.js', ({ textLines }) => [
      textLines('Model: x<br />Objects:<BR>a < b<br/>c'),
      textLines(undefined),
      textLines('<br />'.repeat(5000)).length,
    ]);
    assert.deepEqual(lines, [['Model: x', 'Objects:', 'a < b', 'c'], [''], 200]);
  });
});
