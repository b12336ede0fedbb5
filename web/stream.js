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
import { FIRST_PLAYED_SEQ } from './latency.js';

const MAX_PICTURES = 2;
const MAX_HELD_FRAMES = 150;
const MAX_HELD_BYTES = 8 << 20;
const MAX_DETECTIONS = 64;
/** In step shows live pictures when no detections came for so long: the detector is off or stuck. */
const PATIENCE_US = 4_000_000;
/** In step shows a picture without boxes rather than none for so long. */
const STEP_US = 500_000;
/** A frame that comes after so many intervals of the rate asked for is late. */
const LATE = 1.5;

export class Stream {
  /** Counts since the page was opened; `paced` are those that the rate asked for leaves out. */
  counts = { received: 0, painted: 0, skipped: 0, missed: 0, paced: 0, undecodable: 0 };
  /** Frames a second that were asked for; 0 for all. */
  maxFps = 0;
  /** Newest detections, or null. */
  detections = null;
  /** Sequence number that may be acknowledged at the next paint, or null. */
  acknowledge = null;

  #decode;
  #wake;
  #inStep = false;
  /** Meta data of the newest frame, and when it came; null before the first. */
  #last = null;
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
  /** Sequence number up to which frames have been shown in step, and when the last one was. */
  #steppedTo = -1;
  #steppedUs = -Infinity;
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
    const frame = { meta, blob, order: ++this.#arrivals, arrivedUs: pageNow(), detections: null, inStep: false };
    this.counts.received++;
    if (meta.seq < this.#last?.meta.seq) this.#restarted();
    else if (this.#last) this.#countGap(frame);
    this.#last = { meta, arrivedUs: frame.arrivedUs };
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
    // Those of a frame from before the one that is shown came too late.
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

  /** The detections of exactly this frame, or null. */
  ownDetections({ seq }) {
    return this.#bySeq.get(seq) ?? null;
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
    this.#last = null;
  }

  // Why frames between the last one and this one did not come: because nobody asked for more a
  // second (told by the agent's count, or by the relay keeping to our rate), or by some limit.
  #countGap({ meta, arrivedUs }) {
    if (meta.seq >= FIRST_PLAYED_SEQ) return; // Recordings have gaps of their own.
    const gap = Math.max(0, meta.seq - this.#last.meta.seq - 1);
    const told = meta.paced - this.#last.meta.paced;
    let paced = Number.isFinite(told) ? Math.min(gap, Math.max(0, told)) : 0;
    const inTime = this.maxFps > 0 && arrivedUs - this.#last.arrivedUs < LATE * (1e6 / this.maxFps);
    if (inTime) paced = gap;
    this.counts.paced += paced;
    this.counts.missed += gap - paced;
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
    this.#steppedUs = -Infinity;
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
  // comes: it was not sent. Its boxes belong to no picture, and those of the frames before it were
  // taken or never made. The next detections are waited for, or, where pictures are rare, the newest
  // of those frames is shown without boxes.
  #match() {
    const wanted = this.#wanted;
    if (!wanted || this.#held.length === 0 || this.#held.at(-1).meta.seq < wanted.seq) return;
    this.#wanted = null;
    const earlier = this.#held.filter(({ meta }) => meta.seq <= wanted.seq);
    const frame = earlier.at(-1) ?? this.#held[0];
    const isOwn = frame.meta.seq === wanted.seq;
    if (!isOwn && pageNow() - this.#steppedUs < STEP_US) {
      this.#dropHeld(wanted.seq);
      return;
    }
    this.#steppedTo = Math.max(frame.meta.seq, wanted.seq);
    this.#steppedUs = pageNow();
    this.#dropHeld(frame.meta.seq);
    this.counts.skipped--; // not this one
    frame.detections = isOwn ? wanted : null;
    frame.inStep = true;
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
