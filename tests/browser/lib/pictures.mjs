// JPEGs to send: the frames of the bundled clip.

import { readFileSync } from 'node:fs';

/** The clip that the demo plays: JPEGs, one after the other. */
export const CLIP = new URL('../../../models/clip/demo.mjpeg', import.meta.url).pathname;

/** Splits concatenated JPEGs where an end marker is followed by a start marker. */
export function splitJpegs(data) {
  const pictures = [];
  let start = 0;
  const seam = Buffer.from([0xff, 0xd9, 0xff, 0xd8]);
  for (let at = data.indexOf(seam); at >= 0; at = data.indexOf(seam, at + 4)) {
    pictures.push(data.subarray(start, at + 2));
    start = at + 2;
  }
  pictures.push(data.subarray(start));
  return pictures;
}

/** Width and height from a JPEG's frame header. */
export function jpegSize(jpeg) {
  for (let at = 2; at < jpeg.length - 9; ) {
    const marker = jpeg[at + 1];
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
      return { height: jpeg.readUInt16BE(at + 5), width: jpeg.readUInt16BE(at + 7) };
    }
    at += 2 + jpeg.readUInt16BE(at + 2);
  }
  throw new Error('no frame header in this JPEG');
}

/** The clip's pictures. */
export const clip = () => splitJpegs(readFileSync(CLIP));
