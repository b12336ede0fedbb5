// Programs under test: started with their output collected, waited for, ended by their pid.
import { spawn } from 'node:child_process';
import net from 'node:net';
import { createInterface } from 'node:readline';

// Names of the programs under test, which their own settings would refuse as unknown.
const { CV_RELAY_BIN, CV_AGENT_BIN, ...environment } = process.env;

export class Process {
  #waiting = new Set();

  /** `namespace` is the network namespace to run in, for those who measure. */
  constructor(command, args, { name = command, env = {}, cwd, namespace } = {}) {
    this.name = name;
    this.namespace = namespace;
    this.lines = [];
    // `ip netns exec` becomes the command: the pid is the program's own.
    const line = namespace ? ['ip', 'netns', 'exec', namespace, command, ...args] : [command, ...args];
    this.child = spawn(line[0], line.slice(1), {
      cwd,
      env: { ...environment, PYTHONUNBUFFERED: '1', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.pid = this.child.pid;
    const kill = () => this.child.kill('SIGKILL');
    process.once('exit', kill);
    // Not at its exit: what it said last may still be on the way.
    this.exited = new Promise((resolve) => {
      this.child.once('close', (code, signal) => resolve({ code, signal }));
      this.child.once('error', (error) => resolve({ error }));
    });
    this.exited.then(() => process.off('exit', kill));
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

/** Resolves once `process` accepts connections on `host` and `port`; fails if it ends first. */
export async function listening(process, port, host = '127.0.0.1', timeoutMs = 20_000) {
  const deadline = Date.now() + timeoutMs;
  let ended = false;
  process.exited.then(() => { ended = true; });
  while (!ended && Date.now() < deadline) {
    if (await accepts(port, host, process.namespace)) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`${process.name} does not listen on ${host}:${port}; its output:\n${process.lines.join('\n')}`);
}

function accepts(port, host, namespace) {
  if (namespace) {
    const attempt = new Process('bash', ['-c', `exec 3<>/dev/tcp/${host}/${port}`], { namespace });
    return attempt.exited.then(({ code }) => code === 0);
  }
  return new Promise((resolve) => {
    const socket = net.connect(port, host);
    socket.once('connect', () => { socket.destroy(); resolve(true); });
    socket.once('error', () => resolve(false));
  });
}
