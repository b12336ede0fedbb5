// A camera's picture on the page: one canvas at the picture's own size, and one above it at the
// screen's resolution for boxes and labels. Both change in the same repaint.

import { drawBoxes, usableObjects } from './boxes.js';

/** Boxes older than this say nothing about the picture any more. */
const HIDE_BOXES_AFTER_US = 5_000_000;
/** Boxes at most this far from the picture are drawn as if they were its own. */
const FRESH_US = 150_000;
const MAX_PIXEL_RATIO = 2;

export class Picture {
  /** What is on the canvas; read by tests. */
  painted = null;

  #element;
  #frame;
  #overlay;
  #frameContext;
  #overlayContext;
  #width = 0;
  #height = 0;
  #drawnKey = '';
  #usable = { of: null, objects: [] };

  /** `element` holds `canvas.frame` and `canvas.overlay`; `resized()` asks for a repaint. */
  constructor(element, resized) {
    this.#element = element;
    this.#frame = element.querySelector('.frame');
    this.#overlay = element.querySelector('.overlay');
    this.#frameContext = this.#frame.getContext('2d', { alpha: false });
    this.#overlayContext = this.#overlay.getContext('2d');
    new ResizeObserver(([entry]) => {
      this.#width = entry.contentRect.width;
      this.#height = entry.contentRect.height;
      this.#drawnKey = '';
      resized();
    }).observe(element);
  }

  /** Gives the picture its shape before the first frame, so that nothing jumps. */
  shape(width, height) {
    if (width > 0 && height > 0) this.#element.style.setProperty('--aspect', width / height);
  }

  /** Paints a decoded frame and closes it. */
  paint({ meta, bitmap }) {
    const { width, height } = bitmap;
    if (this.#frame.width !== width || this.#frame.height !== height) {
      this.#frame.width = width;
      this.#frame.height = height;
      this.shape(width, height);
    }
    this.#frameContext.drawImage(bitmap, 0, 0);
    bitmap.close();
    this.painted = { meta, width, height };
  }

  /**
   * Draws `detections` over the painted picture, or nothing for null.
   *
   * Returns how much older than the picture the boxes are, in microseconds: 0 when they were found
   * in it, negative when the picture is the older one, null when no boxes are drawn.
   */
  annotate(detections) {
    const age = this.#age(detections);
    const shown = age === null ? null : detections;
    const text = ageText(age);
    const key = `${shown?.seq} ${shown?.captured_us} ${text} ${this.#width}x${this.#height}`;
    if (key === this.#drawnKey) return age;
    this.#drawnKey = key;
    if (shown !== this.#usable.of) {
      this.#usable = { of: shown, objects: usableObjects(shown?.objects) };
    }
    const context = this.#scaledOverlay();
    drawBoxes(context, this.#usable.objects, this.#width, this.#height, text);
    return age;
  }

  /** Forgets the picture: the canvas turns black. */
  clear() {
    this.painted = null;
    this.#drawnKey = '';
    this.#frameContext.fillRect(0, 0, this.#frame.width, this.#frame.height);
    this.annotate(null);
  }

  /** The picture with its boxes, as a PNG. */
  async save() {
    if (!this.painted) return null;
    const { width, height } = this.painted;
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext('2d');
    context.drawImage(this.#frame, 0, 0);
    drawBoxesOnto(context, this.#overlay, width, height);
    return canvas.convertToBlob({ type: 'image/png' });
  }

  #age(detections) {
    if (!detections || !this.painted) return null;
    const age = this.painted.meta.captured_us - detections.captured_us;
    if (detections.seq === this.painted.meta.seq) return 0;
    return Math.abs(age) <= HIDE_BOXES_AFTER_US ? age : null;
  }

  #scaledOverlay() {
    const ratio = Math.min(MAX_PIXEL_RATIO, devicePixelRatio || 1);
    const width = Math.round(this.#width * ratio);
    const height = Math.round(this.#height * ratio);
    if (this.#overlay.width !== width || this.#overlay.height !== height) {
      this.#overlay.width = width;
      this.#overlay.height = height;
    }
    this.#overlayContext.setTransform(ratio, 0, 0, ratio, 0, 0);
    return this.#overlayContext;
  }
}

function ageText(us) {
  if (us === null || Math.abs(us) <= FRESH_US) return '';
  return `${(Math.abs(us) / 1e6).toFixed(1)} s ${us > 0 ? 'old' : 'ahead'}`;
}

function drawBoxesOnto(context, overlay, width, height) {
  if (overlay.width > 0 && overlay.height > 0) context.drawImage(overlay, 0, 0, width, height);
}
