// A Socket.IO 5 client over one WebSocket: connect with auth, events with binary attachments, ping
// time-out, reconnection with capped and jittered back-off. Long polling, acknowledgement
// callbacks and several namespaces are left out: the relay's viewers need none of them.

import { now, since } from './clock.js';

const CONNECT_TIMEOUT_MS = 8000;
const BACKOFF_FIRST_MS = 300;
/** With the time to connect, everybody is back within five seconds of the relay. */
const BACKOFF_CAP_MS = 3500;
/** A connection that lasted this long was a good one: the next back-off starts from the bottom. */
const GOOD_CONNECTION_MS = 10_000;
/** A ping that is late by more than this does not come any more. */
const LATE_PING_MS = 2000;
/** No event of the protocol carries more than one attachment. */
const MAX_ATTACHMENTS = 8;

/**
 * Splits a Socket.IO packet: `<type>[<attachments>-][/namespace,][ack id][JSON]`.
 *
 * Throws when it is not one.
 */
export function parsePacket(text) {
  const match = /^([0-6])(?:(\d{1,3})-)?(?:(\/[^,]*),)?(\d*)(.*)$/s.exec(text);
  if (!match) throw new Error(`not a Socket.IO packet: ${text.slice(0, 40)}`);
  const [, type, attachments, namespace = '/', , json] = match;
  return {
    type: Number(type),
    attachments: Number(attachments ?? 0),
    namespace,
    data: json ? JSON.parse(json) : undefined,
  };
}

/** Puts attachments in the place of their placeholders; only whole arguments can be binary. */
export function fillAttachments(args, attachments) {
  return args.map((arg) => (arg?._placeholder === true ? attachments[arg.num] : arg));
}

/**
 * Milliseconds to wait before the attempt after `failures` failed ones, with `random` in 0..1:
 * doubling up to a cap, and spread so that viewers do not all come back at once.
 */
export function backoff(failures, random = Math.random()) {
  const full = Math.min(BACKOFF_CAP_MS, BACKOFF_FIRST_MS * 2 ** Math.min(failures, 16));
  return full * (0.5 + random / 2);
}

/**
 * One namespace of one server.
 *
 * `handlers.state(state, detail)` hears of every change: `connecting`, `connected`, `waiting`
 * (`detail.retryAt` in `performance.now()` time, `detail.reason`), `refused` (`detail.message`, then
 * it tries again like after a loss) and `closed`. `handlers.event(name, args)` gets the events;
 * an attachment comes as a Blob. `handlers.auth()` gives the auth object or undefined.
 */
export class Socket {
  #url;
  #namespace;
  #handlers;
  #ws = null;
  #connected = false;
  #connectedAt = 0;
  #failures = 0;
  #retry = 0;
  #watchdog = 0;
  #pending = null;
  #heartbeatMs = 0;
  #pingMs = 0;
  #heardAt = 0;
  #heard = now();

  constructor(url, namespace, handlers) {
    this.#url = url;
    this.#namespace = namespace;
    this.#handlers = handlers;
  }

  get connected() {
    return this.#connected;
  }

  /** Connects now, whether it was closed, waiting for its next attempt, or new. */
  open() {
    if (this.#ws) return;
    clearTimeout(this.#retry);
    this.#handlers.state('connecting', {});
    let ws;
    try {
      ws = new WebSocket(this.#url);
    } catch (err) {
      this.#lost(String(err.message ?? err));
      return;
    }
    ws.binaryType = 'blob';
    ws.onmessage = ({ data }) => this.#ws === ws && this.#message(data);
    ws.onclose = ({ reason }) => this.#ws === ws && this.#drop(reason || 'connection closed');
    this.#ws = ws;
    this.#pending = null;
    this.#watchdog = setTimeout(() => this.#drop('no answer'), CONNECT_TIMEOUT_MS);
  }

  /** Whether a ping is overdue: this tab was frozen, or the connection is gone. */
  get silent() {
    return this.#connected && since(this.#heard) > this.#pingMs + LATE_PING_MS;
  }

  /** Connects anew at once: the machine slept, and nobody knows what has become of the connection. */
  reopen() {
    if (this.#ws) this.#teardown();
    this.#failures = 0;
    this.#handlers.state('waiting', { retryAt: performance.now(), reason: 'asleep' });
    this.open();
  }

  /** Ends the connection and stays closed. */
  close() {
    clearTimeout(this.#retry);
    this.#teardown();
    this.#handlers.state('closed', {});
  }

  /** Sends an event; lost, and `false`, while there is no connection. */
  emit(name, ...args) {
    if (!this.#connected) return false;
    this.#ws.send(`42${this.#prefix()}${JSON.stringify([name, ...args])}`);
    return true;
  }

  #prefix() {
    return this.#namespace === '/' ? '' : `${this.#namespace},`;
  }

  #message(data) {
    this.#heardAt = performance.now();
    this.#heard = now();
    try {
      if (typeof data !== 'string') this.#attachment(data);
      else if (data[0] === '4') this.#packet(parsePacket(data.slice(1)));
      else if (data[0] === '2') this.#ws.send('3');
      else if (data[0] === '0') this.#handshake(JSON.parse(data.slice(1)));
      else if (data[0] === '1') this.#drop('relay is closing');
    } catch (err) {
      console.error('unreadable message from the relay:', err);
      this.#drop('unreadable message');
    }
  }

  #handshake({ pingInterval = 25_000, pingTimeout = 20_000 }) {
    this.#heartbeatMs = pingInterval + pingTimeout;
    this.#pingMs = pingInterval;
    const auth = this.#handlers.auth?.();
    this.#ws.send(`40${this.#prefix()}${auth ? JSON.stringify(auth) : ''}`);
  }

  #packet({ type, attachments, namespace, data }) {
    if (namespace !== this.#namespace) return;
    switch (type) {
      case 0:
        clearTimeout(this.#watchdog);
        this.#connected = true;
        this.#connectedAt = performance.now();
        this.#listen(this.#heartbeatMs);
        this.#handlers.state('connected', {});
        break;
      case 1:
        this.#drop('disconnected by the relay');
        break;
      case 2:
        this.#dispatch(data);
        break;
      case 4:
        this.#refused(String(data?.message ?? data ?? 'refused'));
        break;
      case 5:
        if (attachments > MAX_ATTACHMENTS) throw new Error(`${attachments} attachments`);
        if (attachments === 0) this.#dispatch(data);
        else this.#pending = { data, attachments: [], missing: attachments };
        break;
    }
  }

  #attachment(blob) {
    const pending = this.#pending;
    if (!pending) throw new Error('attachment without an event');
    pending.attachments.push(blob);
    if (--pending.missing > 0) return;
    this.#pending = null;
    this.#dispatch(fillAttachments(pending.data, pending.attachments));
  }

  #dispatch(data) {
    if (!Array.isArray(data) || typeof data[0] !== 'string') throw new Error('not an event');
    const [name, ...args] = data;
    try {
      this.#handlers.event(name, args);
    } catch (err) {
      // A fault in handling one event must not cost the connection.
      console.error(`event ${name}:`, err);
    }
  }

  // The server pings; when nothing came for a whole interval and time-out, it is gone. A timer that
  // fires late (machine asleep, tab frozen) proves nothing: messages may be waiting behind it.
  #listen(waitMs) {
    const due = performance.now() + waitMs;
    this.#watchdog = setTimeout(() => {
      const now = performance.now();
      const left = this.#heardAt + this.#heartbeatMs - now;
      if (left > 0) this.#listen(left);
      else if (now - due > 2000) this.#listen(2000);
      else this.#drop('no sign of life');
    }, waitMs);
  }

  #refused(message) {
    this.#teardown();
    this.#schedule();
    this.#handlers.state('refused', { message, retryAt: this.#retryAt });
  }

  #drop(reason) {
    this.#teardown();
    this.#lost(reason);
  }

  #lost(reason) {
    this.#schedule();
    this.#handlers.state('waiting', { reason, retryAt: this.#retryAt });
  }

  #retryAt = 0;

  #schedule() {
    const wait = backoff(this.#failures++);
    this.#retryAt = performance.now() + wait;
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.open(), wait);
  }

  #teardown() {
    clearTimeout(this.#watchdog);
    if (this.#connected && performance.now() - this.#connectedAt > GOOD_CONNECTION_MS) {
      this.#failures = 0;
    }
    this.#connected = false;
    const ws = this.#ws;
    this.#ws = null;
    ws?.close();
  }
}
