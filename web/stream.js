// One camera's frames and detections on their way to the screen: which picture comes next, and which
// boxes belong to it. No drawing happens here.
//
// live:    arrival -> newest undecoded -> decode -> newest decoded -> take()
// in step: arrival -> compressed frames held -> detections name one -> decode -> take()
//
// At most two pictures exist at a time, being decoded or decoded and waiting; two, so that a decoder
// that takes longer than a frame's time still keeps up where there are processors. Frames held for their boxes
// stay compressed: the detector names a frame only after it has searched it, up to a second or
// more later, and tens of JPEGs cost less than one decoded picture.

import { pageNow } from './clock.js';

const MAX_PICTURES = 2;
const MAX_HELD_FRAMES = 150;
const MAX_HELD_BYTES = 8 << 20;
const MAX_DETECTIONS = 64;
/** In step shows live pictures when no detections came for so long: the detector is off or stuck. */
const PATIENCE_US = 4_000_000;

export class Stream {
  /** Counts since the page was opened. */
  counts = { received: 0, painted: 0, skipped: 0, missed: 0, undecodable: 0 };
  /** Newest detections, or null. */
  detections = null;
  /** Sequence number that may be acknowledged at the next paint, or null. */
  acknowledge = null;

  #decode;
  #wake;
  #inStep = false;
  #lastSeq = null;
  #next = null;
  #decoding = 0;
  #arrivals = 0;
  #newestDecoded = 0;
  #ready = null;
  #held = [];
  #heldBytes = 0;
  #bySeq = new Map();
  #detectedAt = 0;
  #wanted = null;
  /** Sequence number of the last frame that was shown in step. */
  #steppedTo = -1;
  #generation = 0;

  /** `wake()` asks for a `take()` before the next repaint; `decode` is replaced in tests. */
  constructor({ wake, decode = (blob) => createImageBitmap(blob) }) {
    this.#wake = wake;
    this.#decode = decode;
  }

  get inStep() {
    return this.#inStep;
  }

  set inStep(on) {
    this.#inStep = on;
    if (!on) {
      const newest = this.#held.at(-1);
      this.#dropHeld(Infinity);
      if (newest) this.#show(newest);
    }
  }

  /** Whether pictures are being shown without waiting for boxes, though in step is on. */
  get fallenBack() {
    return this.#inStep && pageNow() - this.#detectedAt > PATIENCE_US;
  }

  /** A frame has arrived. */
  frame(meta, blob) {
    const frame = { meta, blob, order: ++this.#arrivals, arrivedUs: pageNow(), detections: null };
    this.counts.received++;
    if (this.#lastSeq !== null) {
      if (meta.seq < this.#lastSeq) this.#restarted();
      else this.counts.missed += Math.max(0, meta.seq - this.#lastSeq - 1);
    }
    this.#lastSeq = meta.seq;
    if (!this.#inStep || this.fallenBack) {
      this.#dropHeld(Infinity);
      this.#show(frame);
      return;
    }
    this.#held.push(frame);
    this.#heldBytes += blob.size;
    while (this.#held.length > MAX_HELD_FRAMES || this.#heldBytes > MAX_HELD_BYTES) {
      this.#dropHeld(this.#held[0].meta.seq);
    }
    // Held frames are off the wire: acknowledged at the next repaint, so that the relay's window
    // follows this page's pace and not the detector's.
    this.acknowledge = meta.seq;
    this.#wake();
    this.#match();
  }

  /** Detections have arrived; they may be older or newer than the newest frame. */
  detected(detections) {
    this.#detectedAt = pageNow();
    this.detections = detections;
    this.#bySeq.set(detections.seq, detections);
    if (this.#bySeq.size > MAX_DETECTIONS) this.#bySeq.delete(this.#bySeq.keys().next().value);
    // Those of a frame that is shown already, with its neighbour's boxes, came too late: the next
    // frame is not theirs, and would in turn leave its own to the one behind it, for ever.
    if (this.#inStep && detections.seq > this.#steppedTo) {
      this.#wanted = detections;
      this.#match();
    }
    this.#wake();
  }

  /**
   * The detections to draw over a frame: its own, else the newest from before it, else, where the
   * picture lags behind the detections, the newest; null without any.
   */
  detectionsFor({ seq, captured_us }) {
    const own = this.#bySeq.get(seq);
    if (own) return own;
    const earlier = [...this.#bySeq.values()].findLast((found) => found.captured_us <= captured_us);
    return earlier ?? this.detections;
  }

  /** The newest decoded picture, which the caller must close, or null if there is no new one. */
  take() {
    const ready = this.#ready;
    this.#ready = null;
    this.#pump();
    if (ready) {
      this.counts.painted++;
      // Held frames, which are newer, may have been acknowledged already.
      this.acknowledge = Math.max(this.acknowledge ?? 0, ready.meta.seq);
    }
    return ready;
  }

  /** Lets go of everything; the counts stay. */
  reset() {
    this.#restarted();
    this.#lastSeq = null;
  }

  // Sequence numbers start again at 0: nothing from before can be told from what comes.
  #restarted() {
    this.#generation++;
    this.#dropHeld(Infinity);
    this.#next = null;
    this.#ready?.bitmap.close();
    this.#ready = null;
    this.#bySeq.clear();
    this.#wanted = null;
    this.#steppedTo = -1;
    this.detections = null;
    this.acknowledge = null;
  }

  #dropHeld(upToSeq) {
    while (this.#held.length > 0 && this.#held[0].meta.seq <= upToSeq) {
      this.#heldBytes -= this.#held.shift().blob.size;
      this.counts.skipped++;
    }
  }

  // Frames come in order. So once one from after the wanted frame is here, the wanted one never
  // comes (a slow link skipped it), and the nearest picture has to do; its boxes show their age.
  #match() {
    const wanted = this.#wanted;
    if (!wanted || this.#held.length === 0) return;
    const exact = this.#held.find((frame) => frame.meta.seq === wanted.seq);
    if (!exact && this.#held.at(-1).meta.seq < wanted.seq) return;
    const distance = (frame) => Math.abs(frame.meta.seq - wanted.seq);
    const frame =
      exact ?? this.#held.reduce((a, b) => (distance(b) < distance(a) ? b : a));
    this.#wanted = null;
    this.#steppedTo = frame.meta.seq;
    this.#dropHeld(frame.meta.seq);
    this.counts.skipped--; // not this one
    frame.detections = wanted;
    this.#show(frame);
  }

  #show(frame) {
    if (this.#next) this.counts.skipped++;
    this.#next = frame;
    this.#pump();
  }

  async #pump() {
    const pictures = this.#decoding + (this.#ready ? 1 : 0);
    if (pictures >= MAX_PICTURES || !this.#next) return;
    const frame = this.#next;
    this.#next = null;
    this.#decoding++;
    frame.decodeUs = pageNow();
    const generation = this.#generation;
    try {
      const bitmap = await this.#decode(frame.blob);
      if (generation === this.#generation) this.#decoded(frame, bitmap);
      else bitmap.close();
    } catch {
      this.counts.undecodable++;
      if (generation === this.#generation) {
        this.acknowledge = Math.max(this.acknowledge ?? 0, frame.meta.seq);
      }
    }
    this.#decoding--;
    this.#wake();
    this.#pump();
  }

  #decoded(frame, bitmap) {
    // Two decoders may finish in the other order.
    if (frame.order < this.#newestDecoded) {
      bitmap.close();
      this.counts.skipped++;
      return;
    }
    this.#newestDecoded = frame.order;
    frame.blob = null;
    frame.bitmap = bitmap;
    frame.decodedUs = pageNow();
    if (this.#ready) {
      this.#ready.bitmap.close();
      this.counts.skipped++;
    }
    this.#ready = frame;
  }
}
