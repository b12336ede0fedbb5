// One camera on the page: its stream, its picture, its numbers and its notice.

import { pageNow } from './clock.js';
import { fixed, milliseconds, setText } from './format.js';
import { LatencyHistory, hopsOf } from './latency.js';
import { Limit } from './limit.js';
import { Rate } from './meters.js';
import { noticeFor, showNotice } from './notice.js';
import { Picture } from './picture.js';
import { Stream } from './stream.js';

/**
 * A picture that waits so long for a repaint means that nobody sees the page (covered, minimised,
 * screen off): the camera is let go until the page is painted again.
 */
const UNSEEN_MS = 2500;

export class Pane {
  videoRate = new Rate();
  detectionRate = new Rate();
  latency = new LatencyHistory();
  limit = new Limit();
  /** The camera's entry in `cameras`. */
  info = null;
  /** The agent's newest `stats`, or null. */
  stats = null;
  /** A tutorial camera's lines of text, or null. */
  lines = null;
  /** What stands over the picture, or null. */
  notice = null;
  /** The detections whose boxes are on the picture, or null. */
  boxesOf = null;
  /** How much older than the picture they are, in microseconds; null without boxes. */
  boxesAge = null;
  /** When the newest detections came, in `performance.now()` time; 0 for never. */
  detectedAt = 0;

  #services;
  #picture;
  #stream;
  #parts;
  #watching = false;
  #maxFps = 0;
  #startedAt = 0;
  #paintedAt = 0;
  /** Why the relay does not show this camera, if it said so. */
  #denied = '';
  #waitingSince = 0;
  /** The detections for which the painted picture was held in step, or null. */
  #own = null;
  /** Whether the painted picture was shown in step: its own boxes, or none. */
  #isInStep = false;

  /**
   * `services`: `wake()` asks for `paint()` at the next repaint, `emit(event, ...)` sends,
   * `clock` is the relay's, `showBoxes()` the user's wish, `open(name)` shows a camera alone.
   */
  constructor(name, template, services) {
    this.name = name;
    this.#services = services;
    this.element = template.content.firstElementChild.cloneNode(true);
    const part = (selector) => this.element.querySelector(selector);
    this.#parts = {
      name: part('.chip.name'),
      rate: part('.chip.rate'),
      age: part('.chip.age'),
      notice: part('.notice'),
    };
    setText(this.#parts.name, name);
    part('.frame').setAttribute('aria-label', `Live picture of ${name}`);
    part('.open').setAttribute('aria-label', `Show ${name} alone`);
    part('.open').addEventListener('click', () => services.open(name));
    this.#picture = new Picture(part('.picture'), services.wake);
    this.#stream = new Stream({ wake: () => this.#wake() });
  }

  get counts() {
    return this.#stream.counts;
  }

  get detections() {
    return this.#stream.detections;
  }

  /** The picture's size, as text. */
  get sizeText() {
    return this.painted ? `${this.painted.width}×${this.painted.height}` : '';
  }

  /** How the boxes relate to the picture, as text. */
  get boxesText() {
    if (!this.painted) return '';
    if (this.#stream.fallenBack) return 'none come: showing live';
    if (this.boxesAge === null) return '';
    if (this.boxesAge === 0) return 'boxes of this picture';
    const ms = Math.abs(this.boxesAge) / 1000;
    const text = ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
    return `boxes ${text} ${this.boxesAge > 0 ? 'old' : 'ahead'}`;
  }

  get painted() {
    return this.#picture.painted;
  }

  set inStep(on) {
    this.#stream.inStep = on;
  }

  get watching() {
    return this.#watching;
  }

  /** Asks the relay for frames, at most `maxFps` a second (0: all), unless it has been asked. */
  watch(maxFps) {
    if (this.#watching && this.#maxFps === maxFps) return;
    this.#watching = true;
    this.#maxFps = maxFps;
    this.#stream.maxFps = maxFps;
    this.#startedAt = performance.now();
    this.#denied = '';
    this.#services.emit('watch', { camera: this.name, ...(maxFps ? { max_fps: maxFps } : {}) });
  }

  /** Nothing more comes; what was on its way is forgotten. */
  unwatch() {
    if (!this.#watching) return;
    this.#watching = false;
    this.#services.emit('unwatch', { camera: this.name });
    this.#forget();
  }

  /** The relay says that we may not see this camera. */
  deny(message) {
    this.#denied = message;
  }

  /** The connection is gone; the last picture stays. */
  disconnected() {
    this.#watching = false;
    this.#forget();
    this.stats = null;
  }

  #forget() {
    this.#stream.reset();
    this.limit.reset();
    this.videoRate.reset();
    this.detectionRate.reset();
  }

  frame(meta, blob) {
    if (!this.#watching || !Number.isFinite(meta?.seq) || !(blob instanceof Blob)) return;
    this.#stream.frame(meta, blob);
  }

  detected(detections) {
    if (!this.#watching || !Number.isFinite(detections?.seq)) return;
    this.detectionRate.tick();
    this.detectedAt = performance.now();
    this.#stream.detected(detections);
  }

  /** Paints what is new; called from requestAnimationFrame. */
  paint() {
    this.#waitingSince = 0;
    const frame = this.#stream.take();
    if (frame) {
      this.#picture.paint(frame);
      this.#paintedAt = performance.now();
      this.videoRate.tick();
      const offset = this.#agentOffset();
      const { clock } = this.#services;
      const hops = hopsOf(frame, pageNow(), (us) => clock.toRelay(us), offset);
      this.latency.add(hops);
      if (hops.adjusting) clock.doubt();
    }
    const seq = this.#stream.acknowledge;
    if (seq !== null) {
      this.#stream.acknowledge = null;
      this.#services.emit('shown', { camera: this.name, seq });
    }
    this.#annotate(frame);
  }

  /** The numbers and words around the picture; a few times a second. */
  update(link, info, relayNow) {
    this.info = info ?? null;
    if (info && !this.painted) this.#picture.shape(info.width, info.height);
    const notice = noticeFor({
      denied: this.#denied,
      link,
      name: this.name,
      info,
      stats: this.stats,
      paintedAt: this.#paintedAt,
      startedAt: this.#startedAt,
      now: performance.now(),
      relayNow,
    });
    showNotice(this.#parts.notice, notice);
    this.element.classList.toggle('dimmed', notice !== null);
    this.element.classList.toggle('blank', !this.painted);
    this.notice = notice;
    this.latency.roll();
    const { inStep, fallenBack } = this.#stream;
    this.limit.add(this.counts, this.stats, this.latency.latest, inStep && !fallenBack);
    this.#chips();
  }

  /** Whether frames have waited for a repaint so long that nobody can be looking. */
  get unseen() {
    return this.#waitingSince > 0 && performance.now() - this.#waitingSince > UNSEEN_MS;
  }

  save() {
    return this.#picture.save();
  }

  #wake() {
    this.#waitingSince ||= performance.now();
    this.#services.wake();
  }

  #annotate(frame) {
    if (frame) {
      this.#own = frame.detections;
      this.#isInStep = frame.inStep;
    }
    let detections = null;
    if (this.#services.showBoxes() && this.painted && !this.painted.meta.annotated) {
      const { meta } = this.painted;
      detections = this.#own ?? (this.#isInStep ? this.#stream.ownDetections(meta) : this.#stream.detectionsFor(meta));
    }
    this.boxesAge = this.#picture.annotate(detections);
    this.boxesOf = detections;
  }

  #agentOffset() {
    const offset = this.info?.clock_offset_us ?? this.stats?.clock_offset_us;
    return Number.isFinite(offset) ? offset : null;
  }

  #chips() {
    const { rate, age } = this.#parts;
    const fps = this.videoRate.value();
    const ms = this.latency.latest?.total ?? null;
    rate.hidden = fps === null || this.notice !== null;
    if (!rate.hidden) setText(rate, ms === null ? `${fixed(fps, 1)} fps` : `${fixed(fps, 1)} fps, ${milliseconds(ms)} ms`);
    const text = this.boxesText;
    age.hidden = text === '' || this.notice !== null;
    setText(age, text);
  }
}
