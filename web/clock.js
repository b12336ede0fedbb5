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

/** A moment, for `since`. */
export const now = () => ({ steady: performance.now(), wall: Date.now() });

/** Milliseconds since a moment, by the clock that says more: one of them may stop while a machine sleeps. */
export const since = ({ steady, wall }) => Math.max(performance.now() - steady, Date.now() - wall);

/** Two exchanges disagree by half their round trips at most, and by what clocks drift in two minutes. */
const DRIFT_US = 20_000;
/** Doubts lead to questions at most so often. */
const DOUBT_MS = 5000;

/** Offset and round trip, both in microseconds, of one finished exchange. */
export function exchange({ t0, t1, t2 }, t3) {
  return { offset: Math.round((t1 - t0 + (t2 - t3)) / 2), roundTrip: t3 - t0 - (t2 - t1) };
}

export class RelayClock {
  #ask;
  #samples = [];
  #timer = 0;
  #left = 0;
  #startedAt = 0;

  /** `ask(t0)` sends the question. */
  constructor(ask) {
    this.#ask = ask;
  }

  start() {
    this.stop();
    this.#burst();
  }

  /** What the offset says cannot be: asks again soon, in case a clock was set. */
  doubt() {
    if (performance.now() - this.#startedAt < DOUBT_MS) return;
    clearTimeout(this.#timer);
    this.#burst();
  }

  /** Forgets what was learned: the next relay may run on another machine. */
  stop() {
    clearTimeout(this.#timer);
    this.#samples = [];
  }

  answer(message) {
    const { t0, t1, t2, set_by_us: setBy } = message ?? {};
    // Not an answer, but the news that the relay's clock was set.
    if (Number.isFinite(setBy)) for (const sample of this.#samples) sample.offset += setBy;
    if (![t0, t1, t2].every(Number.isFinite)) return;
    const sample = exchange({ t0, t1, t2 }, pageNow());
    if (sample.roundTrip < 0) return;
    // A clock that was set makes all earlier answers wrong, however short their round trip.
    const { best } = this;
    const slack = best && (best.roundTrip + sample.roundTrip) / 2 + DRIFT_US;
    if (best && Math.abs(sample.offset - best.offset) > slack) this.#samples = [];
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

  #burst() {
    this.#startedAt = performance.now();
    this.#left = BURST;
    this.#tick();
  }

  #tick() {
    this.#ask(pageNow());
    const wait = --this.#left > 0 ? BURST_MS : STEADY_MS;
    this.#timer = setTimeout(() => this.#tick(), wait);
  }
}
