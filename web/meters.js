// Small measurements over sliding windows.

/** How many events a second, over the last seconds; right from below one up to hundreds. */
export class Rate {
  #times = [];
  #windowMs;

  constructor(windowMs = 2000) {
    this.#windowMs = windowMs;
  }

  tick(now = performance.now()) {
    this.#times.push(now);
    // The last few stay whatever their age, for rates below one a second.
    while (this.#times.length > 4 && now - this.#times[0] > this.#windowMs) this.#times.shift();
  }

  /** Events a second; null when there is nothing to tell it from. */
  value(now = performance.now()) {
    const times = this.#times;
    if (times.length < 2) return null;
    const span = times.at(-1) - times[0];
    const interval = span / (times.length - 1);
    // Once the next one is overdue, its absence counts.
    const since = now - times.at(-1);
    if (since > 10_000 + 3 * interval) return 0;
    return since > 2 * interval + 100
      ? ((times.length - 1) * 1000) / (span + since)
      : 1000 / Math.max(interval, 0.001);
  }

  reset() {
    this.#times = [];
  }
}

/** The middle value, or null of none. */
export function median(values) {
  if (values.length === 0) return null;
  const sorted = Float64Array.from(values).sort();
  return sorted[sorted.length >> 1];
}
