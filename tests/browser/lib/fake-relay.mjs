// A scripted relay: serves the page and speaks the viewers' side of docs/protocol.md, saying exactly
// what a test wants said. For states that the real programs seldom show: faults, old boxes, hostile
// text, lost connections, tokens.

import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { once } from 'node:events';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { WebSocketServer } from 'ws';

const WEB = fileURLToPath(new URL('../../../web/', import.meta.url));
const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};
/** As strict as any relay would be: a page that works under it needs no exception. */
const POLICY =
  "default-src 'self'; img-src 'self' blob: data:; connect-src 'self' ws: wss:; base-uri 'none'; " +
  "form-action 'none'; frame-ancestors 'none'";
const WINDOW = 2;

/** Microseconds since the Unix epoch. */
export const nowUs = () => Math.round((performance.timeOrigin + performance.now()) * 1000);

class Viewer {
  watching = new Map();
  #ws;

  constructor(ws, relay) {
    this.#ws = ws;
    this.relay = relay;
    ws.on('message', (data) => this.#message(data.toString()));
    ws.on('close', () => {
      clearInterval(this.ping);
      relay.viewers.delete(this);
    });
    ws.on('error', () => {});
    const open = { sid: 'e', upgrades: [], pingInterval: relay.pingInterval, pingTimeout: 20_000, maxPayload: 1e6 };
    ws.send(`0${JSON.stringify(open)}`);
    this.ping = setInterval(() => ws.send('2'), relay.pingInterval);
  }

  send(event, ...args) {
    this.#ws.send(`42/web,${JSON.stringify([event, ...args])}`);
  }

  /** Sends a frame whatever the window; `frame` of the relay minds it. */
  sendFrame(meta, jpeg) {
    const message = ['frame', meta, { _placeholder: true, num: 0 }];
    this.#ws.send(`451-/web,${JSON.stringify(message)}`);
    this.#ws.send(jpeg, { binary: true });
  }

  sendRaw(text) {
    this.#ws.send(text);
  }

  drop() {
    this.#ws.terminate();
  }

  #message(text) {
    if (text.startsWith('40/web,')) {
      const auth = text.length > 7 ? JSON.parse(text.slice(7)) : {};
      if (this.relay.token && auth.token !== this.relay.token) {
        this.#ws.send(`44/web,${JSON.stringify({ message: 'this relay asks viewers for a token' })}`);
        return;
      }
      this.#ws.send('40/web,{"sid":"v"}');
      this.relay.viewers.add(this);
      this.send('cameras', this.relay.list);
    } else if (text.startsWith('42/web,')) {
      const [event, arg] = JSON.parse(text.slice(7));
      this.relay.received.push({ event, arg, at: performance.now() });
      this.#event(event, arg);
    }
  }

  #event(event, arg) {
    switch (event) {
      case 'watch':
        this.watching.set(arg.camera, { maxFps: arg.max_fps, flying: [], skipped: 0 });
        break;
      case 'unwatch':
        this.watching.delete(arg.camera);
        break;
      case 'shown': {
        const watch = this.watching.get(arg.camera);
        if (watch) watch.flying = watch.flying.filter((seq) => seq > arg.seq);
        break;
      }
      case 'clock': {
        const t1 = nowUs() + this.relay.clockAheadUs;
        this.send('clock', { t0: arg.t0, t1, t2: nowUs() + this.relay.clockAheadUs });
        break;
      }
    }
  }
}

export class FakeRelay {
  viewers = new Set();
  /** What viewers said: `{event, arg, at}`. */
  received = [];
  list = [];
  token = null;
  /** How far the relay's clock is ahead of this process's. */
  clockAheadUs = 0;
  pingInterval = 25_000;
  #server = null;
  #port = 0;

  static async start(options = {}) {
    const relay = Object.assign(new FakeRelay(), options);
    await relay.listen();
    return relay;
  }

  get url() {
    return `http://127.0.0.1:${this.#port}/`;
  }

  /** Starts, or starts again on the same port. */
  async listen() {
    const server = createServer((request, response) => serve(this, request, response));
    const sockets = new WebSocketServer({ server, path: '/socket.io/', perMessageDeflate: false });
    sockets.on('connection', (ws) => new Viewer(ws, this));
    server.listen(this.#port, '127.0.0.1');
    await once(server, 'listening');
    this.#port = server.address().port;
    this.#server = server;
    this.sockets = sockets;
  }

  /** Goes away as a killed process does. */
  async stop() {
    for (const ws of this.sockets.clients) ws.terminate();
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  /** Replaces the list of cameras and tells everybody. */
  cameras(list) {
    this.list = list;
    this.send('cameras', list);
  }

  send(event, ...args) {
    for (const viewer of this.viewers) viewer.send(event, ...args);
  }

  /**
   * Sends a frame to everybody who watches its camera and has a free place in the window; returns
   * to how many that was.
   */
  frame(meta, jpeg) {
    let sent = 0;
    const stamped = { received_us: nowUs() + this.clockAheadUs, ...meta };
    for (const viewer of this.viewers) {
      const watch = viewer.watching.get(meta.camera);
      if (!watch) continue;
      if (watch.flying.length >= WINDOW) {
        watch.skipped++;
        continue;
      }
      watch.flying.push(meta.seq);
      viewer.sendFrame(stamped, jpeg);
      sent++;
    }
    return sent;
  }
}

/** What a relay without users says of who may come in. */
const session = ({ token }) => ({
  name: null,
  role: token ? null : 'viewer',
  cameras: null,
  may_watch: !token,
  may_administer: false,
  lacks: token ? 'this relay asks viewers for a token' : null,
  users: false,
  token: Boolean(token),
  set_up: null,
  open: token ? null : 'this machine',
  encrypted: false,
});

async function serve(relay, request, response) {
  const path = normalize(decodeURIComponent(new URL(request.url, 'http://x').pathname));
  if (path === '/api/session') {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(session(relay)));
    return;
  }
  const file = join(WEB, path === '/' ? 'index.html' : path);
  try {
    const body = await readFile(file);
    response.writeHead(200, {
      'content-type': TYPES[extname(file)] ?? 'application/octet-stream',
      'content-security-policy': POLICY,
      'cache-control': 'no-store',
    });
    response.end(body);
  } catch {
    response.writeHead(404).end();
  }
}

/** A camera's entry in `cameras`. */
export function camera(name, changes = {}) {
  return {
    name,
    width: 640,
    height: 480,
    state: 'live',
    since_us: nowUs(),
    viewers: 1,
    clock_offset_us: 0,
    ...changes,
  };
}
