// What the benchmarks start: our programs, the peers, the load generator. All of it ends with `stopAll`.
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import * as ours from '../../tests/tutorial/lib/ours.mjs';
import { Process, freePort, listening } from '../../tests/tutorial/lib/processes.mjs';
import * as tutorial from '../../tests/tutorial/lib/tutorial.mjs';

const here = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
export const { clip, model, labels } = tutorial;
export { freePort };

const running = new Set();

function keep(process) {
  running.add(process);
  process.exited.then(() => running.delete(process));
  return process;
}

/** Ends what still runs, the youngest first. */
export async function stopAll() {
  for (const process of [...running].reverse()) await process.stop('SIGTERM', 5000);
}

/** The clip at 30 pictures a second, for our agent and for the tutorial's client. */
export const CLIP_FPS = 30;
export const clipAt30 = `${clip}?fps=${CLIP_FPS}`;

export const startRelay = async (options) => keep(await ours.startRelay(options));

/** Our agent on the clip at 30 fps; `camera` is its name at the relay. */
export const startAgent = ({ camera = 'bench', args = [], ...options } = {}) => keep(ours.startAgent({
  source: clipAt30, fps: CLIP_FPS, args: ['--name', camera, ...args], ...options,
}));

export const startTutorialServer = async (options) => keep(await tutorial.startServer('current', options));

/** The tutorial's client on the clip at 30 fps, with capture times in its text. */
export const startTutorialClient = (port, { args = [], ...options } = {}) => keep(tutorial.startClient(
  'current', port, { fps: CLIP_FPS, stamp: true, args: ['--clip-fps', CLIP_FPS, ...args], ...options }));

/** The agent's own times of its stages, `{stage, median_ms, p99_ms}`, on the clip. */
export const agentStages = () => JSON.parse(execFileSync(ours.agentBinary(),
  ['bench', '--json', '--source', clip, '--model', model, '--labels', labels], { encoding: 'utf8' })).stages;

/** Node's socket.io as a relay. */
export async function startNodeRelay() {
  const port = await freePort();
  const relay = keep(new Process(process.execPath, [path.join(here, 'peers/node-relay.mjs'), '--port', port],
    { name: 'Node socket.io relay' }));
  await listening(relay, port);
  return Object.assign(relay, { port, url: `http://127.0.0.1:${port}` });
}

/** A proxy that delays each direction by `delayMs`. */
export async function startDelay(port, delayMs) {
  const proxy = keep(new Process(process.execPath,
    [path.join(here, 'lib/delay-proxy.mjs'), '--to', `127.0.0.1:${port}`, '--delay-ms', delayMs],
    { name: 'delay proxy' }));
  const [, own] = await proxy.line(/listening on (\d+)/);
  return Object.assign(proxy, { port: Number(own), url: `http://127.0.0.1:${own}` });
}

const loadBinary = () => process.env.CV_LOAD_BIN
  ?? path.join(process.env.CARGO_TARGET_DIR, 'release/load');

/** The bare write loop; it starts once `viewers` are connected. */
export async function startBare(options) {
  const bare = keep(new Process(loadBinary(), ['bare', ...flags(options)], { name: 'bare write loop' }));
  const [, port] = await bare.line(/listening on \S+:(\d+)/);
  return Object.assign(bare, { port: Number(port), url: `http://127.0.0.1:${port}` });
}

/** Starts `load view`; `result()` resolves to what it measured, `periods` are the lines of `--every`. */
export function startLoad({ namespace, ...options }) {
  const load = keep(new Process(loadBinary(), ['view', ...flags(options)], { name: 'load', namespace }));
  load.periods = () => load.lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line))
    .filter(({ t }) => t !== undefined);
  load.result = async () => {
    const { code } = await load.exited;
    if (code !== 0) throw new Error(`load failed:\n${load.lines.join('\n')}`);
    return JSON.parse(load.lines.at(-1));
  };
  return load;
}

/** Runs `load view` to its end. */
export const load = (options) => startLoad(options).result();

function flags(options) {
  return Object.entries(options).flatMap(([name, value]) => {
    const flag = `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    if (value === true) return [flag];
    if (value === false || value === undefined || value === null) return [];
    return [value].flat().flatMap((one) => [flag, one]);
  });
}
