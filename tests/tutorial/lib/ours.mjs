// Our relay and agent, ready to start. CV_RELAY_BIN and CV_AGENT_BIN name the binaries.
import os from 'node:os';
import path from 'node:path';
import { Process, freePort, listening } from './processes.mjs';
import { clip, labels, model } from './tutorial.mjs';

const cache = path.join(process.env.XDG_CACHE_HOME ?? path.join(os.homedir(), '.cache'), 'cv-agent');

function binary(variable, name) {
  const target = process.env.CARGO_TARGET_DIR ?? path.join(cache, 'target');
  return process.env[variable] ?? path.join(target, 'release', name);
}

export const agentBinary = () => binary('CV_AGENT_BIN', 'cv-agent');

/** Starts cv-relay on a free port of 127.0.0.1. */
export async function startRelay({ args = [], host = '127.0.0.1', port, namespace } = {}) {
  port ??= await freePort();
  const relay = new Process(binary('CV_RELAY_BIN', 'cv-relay'),
    ['--host', host, '--port', port, ...args], { name: 'cv-relay', namespace });
  await listening(relay, port, host);
  return Object.assign(relay, { port, url: `http://${host}:${port}` });
}

/** Starts cv-agent on the clip; `port` is the server's, if there is one. */
export function startAgent({
  host = '127.0.0.1', port, source = clip, fps = 20, detect = true, args = [], namespace,
} = {}) {
  const given = ['--camera', source, '--stream-fps', fps];
  if (port) given.push('--server-addr', host, '--server-port', port);
  given.push(...(detect ? ['--model', model, '--labels', labels] : ['--no-detect']));
  return new Process(agentBinary(), [...given, ...args], { name: 'cv-agent', namespace });
}
