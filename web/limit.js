// Which limit keeps more pictures from being shown, in words: nobody need be frightened by frames that
// are left out because the screen is slower than the camera.

/** The last seconds count, in quarter seconds. */
const KEEP = 20;
/** Fewer frames than this share are chance. */
const NOTICEABLE = 0.05;

export class Limit {
  #samples = [];

  /**
   * Takes in where a camera stands: the stream's `counts`, the agent's newest `stats`, the medians of
   * the `hops`, and whether pictures wait for their boxes.
   */
  add(counts, stats, hops, inStep) {
    this.#samples.push({ ...counts, link: stats?.dropped?.link ?? 0, hops, inStep });
    if (this.#samples.length > KEEP) this.#samples.shift();
  }

  reset() {
    this.#samples = [];
  }

  /** The limit that was met, in few words (they stand below a number), or '' while nothing comes. */
  get text() {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    const grown = (key) => Math.max(0, last[key] - first[key]);
    if (!first || grown('received') === 0) return '';
    const [received, skipped, missed, paced] = ['received', 'skipped', 'missed', 'paced'].map(grown);
    if (skipped + missed > NOTICEABLE * (received + missed)) {
      if (skipped >= missed) return last.inStep ? 'detection' : 'this browser';
      if (grown('link') >= missed / 2) return 'agent’s link';
      // The relay sends no more than is shown here: the longer wait is the reason.
      const { hold, decode, paint, downlink } = last.hops ?? {};
      return (hold ?? 0) + (decode ?? 0) + (paint ?? 0) >= (downlink ?? 0) ? 'this browser' : 'link to here';
    }
    return paced > NOTICEABLE * (received + paced) ? 'rate asked for' : 'camera';
  }
}
