// A camera that a test plays: frames from the clip at a steady rate, and detections when it says so.

import { clip, jpegSize } from './pictures.mjs';
import { nowUs } from './fake-relay.mjs';

const pictures = clip();
export const SIZE = jpegSize(pictures[0]);

export class Scene {
  seq = -1;
  capturedUs = 0;
  #timer = null;

  /** `clockUs` is how far this camera's clock is ahead of the machine's. */
  constructor(relay, camera, { clockUs = 0 } = {}) {
    this.relay = relay;
    this.camera = camera;
    this.clockUs = clockUs;
  }

  /** Sends the next frame, taken `ageMs` ago; returns its meta data and to how many it went. */
  frame({ ageMs = 10, jpeg } = {}) {
    this.seq++;
    this.capturedUs = nowUs() - ageMs * 1000 + this.clockUs;
    const meta = { camera: this.camera, seq: this.seq, captured_us: this.capturedUs, ...SIZE };
    meta.sent_us = meta.captured_us + 2000;
    const sent = this.relay.frame(meta, jpeg ?? pictures[this.seq % pictures.length]);
    return { ...meta, sent };
  }

  /** Sends what was "found" in the frame `seq`. */
  detect(objects, { seq = this.seq, capturedUs = this.capturedUs, ...rest } = {}) {
    this.relay.send('detections', {
      camera: this.camera,
      seq,
      captured_us: capturedUs,
      model: 'ssd_test',
      engine: 'LiteRT',
      accelerator: 'XNNPACK (2 threads)',
      infer_ms: 12,
      objects,
      ...rest,
    });
  }

  /** Plays at `fps`; `each(meta)` is called after every frame. */
  play(fps = 30, each = () => {}) {
    this.stop();
    this.#timer = setInterval(() => each(this.frame()), 1000 / fps);
  }

  stop() {
    clearInterval(this.#timer);
  }
}
