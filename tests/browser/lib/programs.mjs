// The real relay and agent, started by a test and ended by their process ids.

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const TARGET = process.env.CARGO_TARGET_DIR ?? `${ROOT}target`;

/** Time that a program has to end when asked to. */
const STOP_MS = 20_000;

/** Where a program lies: named by an environment variable, or where cargo puts it. */
function binary(variable, name) {
  const path = process.env[variable] ?? `${TARGET}/release/${name}`;
  if (!existsSync(path)) {
    throw new Error(`${path} does not exist: build it with cargo build --release -p ${name}, or set ${variable}`);
  }
  return path;
}

/** The programs refuse settings that they do not know, such as where the tests find them. */
export function programEnv() {
  const { CV_RELAY_BIN, CV_AGENT_BIN, ...env } = process.env;
  return env;
}

/** A running program whose output is kept; ends with the test process. */
class Program {
  lines = [];
  #child;
  #name;

  constructor(name, path, args, env = {}) {
    this.#name = name;
    this.#child = spawn(path, args, { env: { ...programEnv(), ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => this.lines.push(line));
    }
    process.once('exit', this.#kill);
  }

  #kill = () => this.#child.kill('SIGKILL');

  /** Waits for a line of its output that matches, and returns the match. */
  async line(pattern, timeout = 30_000) {
    const end = performance.now() + timeout;
    for (;;) {
      const match = this.lines.map((line) => pattern.exec(line)).find(Boolean);
      if (match) return match;
      const ended = this.#child.exitCode !== null || this.#child.signalCode !== null;
      if (ended || performance.now() > end) {
        throw new Error(`${this.#name} did not say ${pattern}; it said:\n${this.lines.join('\n')}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  get pid() {
    return this.#child.pid;
  }

  /** Ends it with `signal` and waits until it is gone; one that stays is killed, and an error. */
  async stop(signal = 'SIGTERM') {
    process.removeListener('exit', this.#kill);
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exit = once(this.#child, 'exit');
    this.#child.kill(signal);
    const timer = setTimeout(this.#kill, STOP_MS);
    await exit;
    clearTimeout(timer);
    if (this.#child.signalCode === 'SIGKILL' && signal !== 'SIGKILL') {
      throw new Error(`${this.#name} did not end on ${signal}; it said:\n${this.lines.join('\n')}`);
    }
  }
}

/** Starts the relay on a free port, or on `port` again, and waits until it listens. */
export async function startRelay({ port = 0, host = '127.0.0.1', args = [], env } = {}) {
  const path = binary('CV_RELAY_BIN', 'cv-relay');
  const relay = new Program('cv-relay', path, ['--host', host, '--port', String(port), ...args], env);
  const [, url] = await relay.line(/(http:\/\/127\.0\.0\.1:\d+)/);
  relay.url = `${url}/`;
  relay.port = Number(new URL(url).port);
  relay.binary = path;
  return relay;
}

/** Starts an agent on `source`, known to the relay at `url` as `name`. */
export function startAgent(url, { source, name, args = [], env }) {
  const model = `${ROOT}models`;
  const path = binary('CV_AGENT_BIN', 'cv-agent');
  const settings = ['--source', source, '--server', url.replace(/\/$/, ''), '--name', name];
  return new Program('cv-agent', path, [...settings, '--models-dir', model, ...args], env);
}
