// The tutorial's three programs, ready to start.
import os from 'node:os';
import path from 'node:path';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import jpeg from 'jpeg-js';
import { io as io4 } from 'socket.io-client';
import { openPage } from '../../browser/lib/chromium.mjs';
import { startFront } from './front.mjs';
import { Process, freePort, listening } from './processes.mjs';

const require = createRequire(import.meta.url);
const io2 = require('socket.io-client-v2');

const here = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const root = path.resolve(here, '../..');
const cache = path.join(process.env.XDG_CACHE_HOME ?? path.join(os.homedir(), '.cache'), 'cv-agent');

export const clip = path.join(root, 'models/clip/demo.mjpeg');
export const model = path.join(root, 'models/ssdlite_mobilenet_v2_coco_int8.tflite');
export const labels = path.join(root, 'models/ssdlite_mobilenet_v2_coco.labels.txt');

/** Versions of the tutorial's packages: `current`, and those it `pinned`. */
export const STACKS = ['current', 'pinned'];

/** The servers that can be run. The pinned versions of Flask's own server cannot carry WebSocket yet. */
export const SERVERS = [
  { stack: 'current', asyncMode: 'eventlet' },
  { stack: 'current', asyncMode: 'threading' },
  { stack: 'pinned', asyncMode: 'eventlet' },
];

export const python = (stack) => path.join(cache, `tutorial-${stack}`, 'bin', 'python');

/** A file of the tutorial's page. */
export const pageFile = (name) => path.join(here, 'peers/page', name);

/** What the picture of a message starts with. */
export const DATA_URL = 'data:image/jpeg;base64,';

/** The browser script of socket.io-client: `2` is 2.0.3, as on the tutorial's page. */
export const browserScript = (client) => path.join(here, 'node_modules',
  client === 2 ? 'socket.io-client-v2/dist/socket.io.js' : 'socket.io-client/dist/socket.io.js');

/** Starts the tutorial's server; its page loads the client script that fits it. `args` are for the program. */
export async function startServer(stack, { asyncMode = 'eventlet', host = '127.0.0.1', port, args = [], namespace } = {}) {
  port ??= await freePort();
  const script = browserScript(stack === 'pinned' ? 2 : 4);
  const server = new Process(python(stack),
    [path.join(here, 'peers/server.py'), '--host', host, '--port', port, '--async-mode', asyncMode, '--socketio-js', script, ...args],
    { name: `tutorial server (${stack}, ${asyncMode})`, namespace });
  await listening(server, port, host);
  return Object.assign(server, { port, url: `http://${host}:${port}` });
}

/** Starts the tutorial's CV client on the clip. */
export function startClient(stack, port, {
  host = '127.0.0.1', fps = 20, source = clip, detect = true, stamp = false, args = [], namespace,
} = {}) {
  const given = ['--camera', source, '--server-addr', host, '--server-port', port, '--stream-fps', fps];
  if (detect) given.push('--model', model, '--labels', labels);
  if (stamp) given.push('--stamp');
  return new Process(python(stack), [path.join(here, 'peers/client.py'), ...given, ...args],
    { name: `tutorial client (${stack})`, namespace });
}

/** The tutorial's page without a browser: socket.io-client 2 (2.0.3) or 4 on `/web`. */
export class Page {
  #waiting = new Set();

  constructor(client, url, options = {}) {
    this.messages = [];
    this.socket = client === 2
      ? io2.connect(`${url}/web`, { forceNew: true, ...options })
      : io4(`${url}/web`, { forceNew: true, ...options });
    this.connected = new Promise((resolve, reject) => {
      this.socket.once('connect', resolve);
      this.socket.once('error', reject);
    });
    this.socket.on('server2web', (message) => {
      this.messages.push({ ...message, at: performance.now() });
      for (const check of this.#waiting) check();
    });
  }

  /** Resolves to the messages from `first` on, once there are `count` of them. */
  async take(count, { first = 0, timeoutMs = 30_000 } = {}) {
    const enough = () => this.messages.length >= first + count;
    if (!enough()) {
      await new Promise((resolve, reject) => {
        const check = () => {
          if (!enough()) return;
          clearTimeout(timer);
          this.#waiting.delete(check);
          resolve();
        };
        const timer = setTimeout(() => {
          this.#waiting.delete(check);
          reject(new Error(`the page got ${this.messages.length - first} of ${count} pictures in ${timeoutMs} ms`));
        }, timeoutMs);
        this.#waiting.add(check);
      });
    }
    return this.messages.slice(first, first + count);
  }

  close() { this.socket.close(); }
}

/** Decodes a data URL; fails if it is none of a JPEG. */
export function decode(dataUrl) {
  if (!dataUrl.startsWith(DATA_URL)) throw new Error(`not a JPEG data URL: ${dataUrl.slice(0, 40)}`);
  return jpeg.decode(Buffer.from(dataUrl.slice(DATA_URL.length), 'base64'), { tolerantDecoding: false });
}

/**
 * Reads the lines of the text card; fails with the text in the message. The tutorial's own clients
 * name the model, the time and the objects; our relay adds the engine and the accelerator.
 */
export function readText(text) {
  const lines = text.split('<br />');
  const heading = lines.indexOf('Objects:');
  const head = Object.fromEntries(lines.slice(0, heading).map((line) => line.split(': ')));
  const seconds = /^(\d+\.\d{3}) s$/.exec(head['Inference time'])?.[1];
  const found = lines.slice(heading + 1).map((line) => /^(\w[\w ]*): (\d+\.\d\d)%$/.exec(line));
  if (heading < 2 || !head.Model || !seconds || found.includes(null)) {
    throw new Error(`not the text of the tutorial: ${JSON.stringify(text)}`);
  }
  return {
    model: head.Model,
    seconds: Number(seconds),
    objects: found.map(([, label, percent]) => ({ label, percent: Number(percent) })),
  };
}

/**
 * Opens the tutorial's page in `browser` at one address with our relay, with the client script of
 * version `client`; it is closed after test `t`.
 */
export async function openTheirPage(t, browser, relay, client) {
  const files = { '': pageFile('index.html'), 'page.js': pageFile('page.js'), 'socket.io.js': browserScript(client) };
  const front = await startFront(relay.port, files);
  const page = await openPage(browser.context, front.url);
  t.after(async () => {
    await page.close();
    front.close();
  });
  return page;
}

/**
 * Stops a client (ours or the tutorial's) and reads its last words: pictures sent, and how many a second.
 * Rates are held against these, not against a clock: a busy machine sends late, but must lose nothing.
 */
export async function lastWords(client) {
  await client.stop('SIGINT');
  const [, seconds] = await client.line(/elapsed time: (\d+\.\d+)/);
  // The tutorial's client counts, our agent tells the rate.
  const [, count, rate] = await client.line(/pictures sent: (\d+)|approx\. FPS: .* (\d+\.\d+) sent/);
  const sent = count ? Number(count) : Math.round(rate * seconds);
  // Pictures are fence posts, and the first goes out at once.
  return { sent, fps: (sent - 1) / Number(seconds) };
}
