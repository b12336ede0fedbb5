// The relay's clock, seen from this page: an NTP-like exchange (docs/protocol.md, "Clocks").

/** Exchanges right after connecting, to have an answer soon and a good one within a second. */
const BURST = 6;
const BURST_MS = 150;
const STEADY_MS = 10_000;
/** Exchanges remembered: two minutes' worth, so that drifting clocks are followed. */
const KEEP = 12;

/**
 * Microseconds since the Unix epoch by this page's own clock. It never jumps, as the wall clock
 * does when it is set; only differences to the relay's clock matter here.
 */
export function pageNow() {
  return Math.round((performance.timeOrigin + performance.now()) * 1000);
}

/** Offset and round trip, both in microseconds, of one finished exchange. */
export function exchange({ t0, t1, t2 }, t3) {
  return { offset: Math.round((t1 - t0 + (t2 - t3)) / 2), roundTrip: t3 - t0 - (t2 - t1) };
}

export class RelayClock {
  #ask;
  #samples = [];
  #timer = 0;
  #left = 0;

  /** `ask(t0)` sends the question. */
  constructor(ask) {
    this.#ask = ask;
  }

  start() {
    this.stop();
    this.#left = BURST;
    this.#tick();
  }

  /** Forgets what was learned: the next relay may run on another machine. */
  stop() {
    clearTimeout(this.#timer);
    this.#samples = [];
  }

  answer(message) {
    const { t0, t1, t2 } = message ?? {};
    if (![t0, t1, t2].every(Number.isFinite)) return;
    const sample = exchange({ t0, t1, t2 }, pageNow());
    if (sample.roundTrip < 0) return;
    this.#samples.push(sample);
    if (this.#samples.length > KEEP) this.#samples.shift();
  }

  /** The exchange with the shortest round trip, or null before the first. */
  get best() {
    return this.#samples.reduce((a, b) => (a && a.roundTrip <= b.roundTrip ? a : b), null);
  }

  /** Turns this page's time into the relay's; null while that is unknown. */
  toRelay(us) {
    const best = this.best;
    return best ? us + best.offset : null;
  }

  #tick() {
    this.#ask(pageNow());
    const wait = --this.#left > 0 ? BURST_MS : STEADY_MS;
    this.#timer = setTimeout(() => this.#tick(), wait);
  }
}
