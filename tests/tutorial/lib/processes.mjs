// Programs under test: started with their output collected, waited for, ended by their pid.
import { spawn } from 'node:child_process';
import net from 'node:net';
import { createInterface } from 'node:readline';

export class Process {
  #waiting = new Set();

  constructor(command, args, { name = command, env = {}, cwd } = {}) {
    this.name = name;
    this.lines = [];
    this.child = spawn(command, args, {
      cwd,
      env: { ...process.env, PYTHONUNBUFFERED: '1', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.pid = this.child.pid;
    this.exited = new Promise((resolve) => {
      this.child.once('exit', (code, signal) => resolve({ code, signal }));
      this.child.once('error', (error) => resolve({ error }));
    });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        this.lines.push(line);
        for (const check of this.#waiting) check(line);
      });
    }
  }

  /** The first line, past or future, that matches `pattern`, as a match. */
  async line(pattern, timeoutMs = 20_000) {
    for (const line of this.lines) {
      const match = pattern.exec(line);
      if (match) return match;
    }
    let check, timer;
    const found = new Promise((resolve) => {
      check = (line) => {
        const match = pattern.exec(line);
        if (match) resolve(match);
      };
      this.#waiting.add(check);
      timer = setTimeout(resolve, timeoutMs, null);
    });
    const match = await Promise.race([found, this.exited]);
    this.#waiting.delete(check);
    clearTimeout(timer);
    if (Array.isArray(match)) return match;
    const what = match ? `ended (${JSON.stringify(match)})` : `printed nothing for ${timeoutMs} ms`;
    throw new Error(`${this.name} ${what} while waiting for ${pattern}; its output:\n${this.lines.join('\n')}`);
  }

  /** Sends `signal` and waits; kills after `timeoutMs`. Resolves to how it ended. */
  async stop(signal = 'SIGTERM', timeoutMs = 10_000) {
    this.child.kill(signal);
    const timer = setTimeout(() => this.child.kill('SIGKILL'), timeoutMs);
    const end = await this.exited;
    clearTimeout(timer);
    return end;
  }
}

/** A port on 127.0.0.1 that nobody listens on. */
export async function freePort() {
  const server = net.createServer();
  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Resolves once `port` accepts connections; fails if `process` ends first. */
export async function listening(process, port, timeoutMs = 20_000) {
  const deadline = Date.now() + timeoutMs;
  let ended = false;
  process.exited.then(() => { ended = true; });
  while (!ended && Date.now() < deadline) {
    const open = await new Promise((resolve) => {
      const socket = net.connect(port, '127.0.0.1');
      socket.once('connect', () => { socket.destroy(); resolve(true); });
      socket.once('error', () => resolve(false));
    });
    if (open) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`${process.name} does not listen on ${port}; its output:\n${process.lines.join('\n')}`);
}
