// Where the time of a picture goes, from the camera to the screen: hops, numbers and a live graph.

import { milliseconds, setText } from './format.js';
import { median } from './meters.js';

/** The hops in the order in which a picture takes them. */
export const HOPS = [
  { key: 'agent', name: 'Capture to sent', hint: 'In the agent: from the camera’s stamp to the socket' },
  { key: 'uplink', name: 'Uplink', hint: 'From the agent’s socket to the relay' },
  { key: 'downlink', name: 'Relay to page', hint: 'In the relay and on the way to this page' },
  { key: 'hold', name: 'Held', hint: 'Waiting here for the decoder, and in step for the boxes' },
  { key: 'decode', name: 'Decode', hint: 'JPEG to pixels, beside the main thread' },
  { key: 'paint', name: 'Paint', hint: 'Waiting for the screen’s next repaint' },
];

/** From this number on a frame is played from a recording: its age is not a delay. */
export const FIRST_PLAYED_SEQ = 2 ** 40;
/** Clocks of two machines are known to half a round trip. */
const CLOCK_ERROR_MS = 1000;
/** No picture is older: the relay drops connections that stall for a sixth of this. */
const OLDEST_MS = 60_000;

/**
 * Milliseconds that each hop took for one painted frame; null where a clock or a stamp is missing.
 *
 * `toRelay` turns page time into relay time, `agentOffset` is how far the relay's clock is ahead of
 * the agent's; both may be unknown (null). What crosses machines may come out slightly negative, as
 * the clocks are known to half a round trip: that is 0. What no picture can have taken is null, and
 * `adjusting` is true: a clock was set, and the new offset is not known yet.
 */
export function hopsOf(frame, paintedUs, toRelay, agentOffset) {
  const { meta, arrivedUs, decodeUs, decodedUs } = frame;
  const known = (us) => (Number.isFinite(us) ? us : null);
  const minus = (a, b) => (a === null || b === null ? null : (a - b) / 1000);
  const shift = (us) => (us === null || agentOffset === null ? null : us + agentOffset);
  const captured = known(meta.captured_us);
  const sent = known(meta.sent_us);
  const received = known(meta.received_us);
  const live = !(meta.seq >= FIRST_PLAYED_SEQ);
  const across = {
    agent: live ? minus(sent, captured) : null,
    uplink: live ? minus(received, shift(sent)) : null,
    downlink: live ? minus(toRelay(arrivedUs), received) : null,
    total: live ? minus(toRelay(paintedUs), shift(captured)) : null,
  };
  const adjusting = Object.values(across).some((ms) => ms !== null && plausible(ms) === null);
  return {
    agent: plausible(across.agent),
    uplink: plausible(across.uplink),
    downlink: plausible(across.downlink),
    hold: minus(decodeUs, arrivedUs),
    decode: minus(decodedUs, decodeUs),
    paint: minus(paintedUs, decodedUs),
    total: adjusting ? null : plausible(across.total),
    adjusting,
  };
}

/** A time between two machines, at least 0; null if it cannot be. */
function plausible(ms) {
  return ms === null || ms < -CLOCK_ERROR_MS || ms > OLDEST_MS ? null : Math.max(0, ms);
}

/** One camera's latency over the last minute, in points of a quarter of a second. */
export class LatencyHistory {
  static POINTS = 240;
  points = [];
  /** The newest painted frame's hops, or null. */
  newest = null;
  #samples = [];

  add(hops) {
    this.newest = hops;
    this.#samples.push(hops);
  }

  /** Turns the samples since the last call into one point; a point without samples is null. */
  roll() {
    const samples = this.#samples;
    this.#samples = [];
    const medianOf = (key) => median(samples.map((s) => s[key]).filter((ms) => ms !== null));
    const point = samples.length
      ? Object.fromEntries([...HOPS.map(({ key }) => key), 'total'].map((key) => [key, medianOf(key)]))
      : null;
    if (point) point.worst = samples.reduce((worst, { total }) => maxKnown(worst, total), null);
    this.points.push(point);
    if (this.points.length > LatencyHistory.POINTS) this.points.shift();
  }

  /** The longest that a picture took within the minute, or null while that is unknown. */
  get worst() {
    return this.points.reduce((worst, point) => (point ? maxKnown(worst, point.worst) : worst), null);
  }

  /** Medians over the last second, or null when no frame was painted in it. */
  get latest() {
    const recent = this.points.slice(-4).filter(Boolean);
    if (recent.length === 0) return null;
    const of = (key) => median(recent.map((p) => p[key]).filter((ms) => ms !== null));
    return Object.fromEntries([...HOPS.map(({ key }) => key), 'total'].map((key) => [key, of(key)]));
  }
}

/** The latency card: a row for each hop and a stacked graph of the last minute. */
export class LatencyCard {
  #values = new Map();
  #total;
  #canvas;
  #context;

  constructor({ hops, total, graph }) {
    this.#total = total;
    this.#canvas = graph;
    this.#context = graph.getContext('2d');
    HOPS.forEach(({ key, name, hint }, index) => {
      const row = document.createElement('div');
      row.title = hint;
      const term = document.createElement('dt');
      term.className = `hop hop-${index}`;
      term.textContent = name;
      const value = document.createElement('dd');
      row.append(term, value);
      hops.append(row);
      this.#values.set(key, value);
    });
  }

  update(history) {
    const latest = history?.latest ?? null;
    for (const [key, element] of this.#values) {
      const ms = latest?.[key] ?? null;
      setText(element, ms === null ? milliseconds(null) : `${milliseconds(ms)} ms`);
    }
    const total = latest?.total ?? null;
    setText(this.#total, total === null ? '' : `${milliseconds(total)} ms`);
    this.#draw(history?.points ?? []);
  }

  #draw(points) {
    const ratio = devicePixelRatio || 1;
    const width = this.#canvas.clientWidth;
    const height = this.#canvas.clientHeight;
    if (width === 0) return;
    if (this.#canvas.width !== Math.round(width * ratio)) this.#canvas.width = Math.round(width * ratio);
    if (this.#canvas.height !== Math.round(height * ratio)) this.#canvas.height = Math.round(height * ratio);
    const context = this.#context;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const style = getComputedStyle(this.#canvas);
    const sums = points.map((p) => p && HOPS.reduce((sum, { key }) => sum + Math.max(0, p[key] ?? 0), 0));
    // The rare long one is cut off rather than flattening all the others.
    const sorted = sums.filter(Boolean).sort((a, b) => a - b);
    const top = niceCeiling(Math.max(20, (sorted[Math.floor(sorted.length * 0.97)] ?? 0) * 1.05));
    context.font = '10px Inter, system-ui, sans-serif';
    context.fillStyle = style.getPropertyValue('--muted');
    context.strokeStyle = style.getPropertyValue('--line');
    context.textBaseline = 'top';
    context.lineWidth = 1;
    context.beginPath();
    for (const share of [0, 0.5, 1]) {
      const y = Math.round((height - 1) * share) + 0.5;
      context.moveTo(0, y);
      context.lineTo(width, y);
    }
    context.stroke();
    const colours = HOPS.map((_, index) => style.getPropertyValue(`--hop-${index}`));
    const step = width / LatencyHistory.POINTS;
    const start = width - points.length * step;
    points.forEach((point, i) => {
      if (!point) return;
      let y = height;
      HOPS.forEach(({ key }, index) => {
        const h = Math.min(y, (Math.max(0, point[key] ?? 0) / top) * (height - 1));
        if (h <= 0) return;
        context.fillStyle = colours[index];
        context.fillRect(start + i * step, y - h, step + 0.3, h);
        y -= h;
      });
    });
    context.fillStyle = style.getPropertyValue('--muted');
    context.fillText(`${top} ms`, 4, 4);
  }
}

function maxKnown(a, b) {
  return a === null ? b : b === null ? a : Math.max(a, b);
}

function niceCeiling(value) {
  const steps = [20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 60_000];
  return steps.find((step) => value <= step) ?? Math.ceil(value / 60_000) * 60_000;
}
