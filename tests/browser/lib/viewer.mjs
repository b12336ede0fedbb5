// A second viewer, written from docs/protocol.md: the witness of what was sent.

import { WebSocket } from 'ws';

/** Connects to the relay at `url` and keeps every detections message of `camera`, by `seq`. */
export function witness(url, camera) {
  const detections = new Map();
  const ws = new WebSocket(`${url.replace('http', 'ws')}socket.io/?EIO=4&transport=websocket`);
  ws.on('error', () => {});
  ws.on('message', (data, isBinary) => {
    if (isBinary) return;
    const text = data.toString();
    if (text.startsWith('0')) ws.send('40/web,');
    else if (text === '2') ws.send('3');
    else if (text.startsWith('40/web,')) {
      // One frame every ten seconds is enough for a witness of detections.
      ws.send(`42/web,${JSON.stringify(['watch', { camera, max_fps: 0.1 }])}`);
    } else if (text.startsWith('42/web,')) {
      const [event, message] = JSON.parse(text.slice(7));
      if (event === 'detections' && message.camera === camera) detections.set(message.seq, message);
    } else if (/^45\d+-\/web,/.test(text)) {
      const [event, meta] = JSON.parse(text.slice(text.indexOf(',') + 1));
      if (event === 'frame') ws.send(`42/web,${JSON.stringify(['shown', { camera, seq: meta.seq }])}`);
    }
  });
  return { detections, close: () => ws.terminate() };
}
