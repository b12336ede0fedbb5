// socket.io-client as a viewer, from docs/protocol.md alone; the agent is a socket.io-client too.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { io } from 'socket.io-client';
import io2 from 'socket.io-client-v2';

// Starts like a JPEG of 640x480.
const JPEG = Buffer.concat([Buffer.from([0xff, 0xd8, 0xff, 0xc0, 0, 17, 8, 1, 0xe0, 2, 0x80, 3, 1]), Buffer.alloc(5000, 0x1e)]);

async function startRelay(t) {
  // The relay takes variables of its prefix for settings.
  const { CV_RELAY_BIN, ...env } = process.env;
  const relay = spawn(CV_RELAY_BIN, ['--host', '127.0.0.1', '--port', '0'], { env, stdio: ['ignore', 'ignore', 'pipe'] });
  t.after(async () => {
    relay.kill('SIGTERM');
    if (relay.exitCode === null) await once(relay, 'exit');
    assert.equal(relay.exitCode, 0, 'the relay stops cleanly');
  });
  let url;
  for await (const line of createInterface(relay.stderr)) {
    url ??= line.match(/open (http:\S+)/)?.[1];
    if (line.includes('ready')) break;
  }
  relay.stderr.resume();
  return url;
}

/** The next event of this name that satisfies `wanted`: its arguments. */
function take(socket, event, wanted = () => true) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ${event}`)), 20_000);
    const listener = (...args) => {
      if (!wanted(...args)) return;
      clearTimeout(timer);
      socket.off(event, listener);
      resolve(args);
    };
    socket.on(event, listener);
  });
}

function connect(t, client, url, options) {
  const socket = client(url, { forceNew: true, ...options });
  t.after(() => socket.disconnect());
  return socket;
}

function startAgent(t, url, camera) {
  return connect(t, io, `${url}/cv`, { auth: { protocol: 1, camera, version: 'interop' }, transports: ['websocket'] });
}

function sendFrame(agent, seq) {
  agent.emit('frame', { seq, captured_us: Date.now() * 1000, width: 640, height: 480 }, JPEG);
}

const CLIENTS = {
  'socket.io-client 4, default transports': [io, {}],
  'socket.io-client 4, websocket': [io, { transports: ['websocket'] }],
  'socket.io-client 4, polling': [io, { transports: ['polling'] }],
  'socket.io-client 2.0.3, default transports': [io2, {}],
  'socket.io-client 2.0.3, websocket': [io2, { transports: ['websocket'] }],
};

for (const [name, [client, options]] of Object.entries(CLIENTS)) {
  test(`a viewer receives frames and detections: ${name}`, async (t) => {
    const url = await startRelay(t);
    const agent = startAgent(t, url, 'front');
    await take(agent, 'demand');
    const viewer = connect(t, client, `${url}/web`, options);
    const [cameras] = await take(viewer, 'cameras');
    assert.deepEqual(cameras.map(({ name, state }) => [name, state]), [['front', 'live']]);
    const watched = take(agent, 'demand', ({ viewers }) => viewers === 1);
    viewer.emit('watch', { camera: 'front' });
    await watched;
    for (let seq = 0; seq < 20; seq += 1) {
      const shown = take(viewer, 'frame');
      const acknowledged = take(agent, 'ack');
      sendFrame(agent, seq);
      const [meta, jpeg] = await shown;
      assert.equal(meta.camera, 'front');
      assert.equal(meta.seq, seq);
      assert.deepEqual(Buffer.from(jpeg), JPEG);
      viewer.emit('shown', { camera: 'front', seq });
      assert.deepEqual(await acknowledged, [{ seq }]);
    }
    const detections = { seq: 19, captured_us: 1, model: 'ssd', engine: 'LiteRT', accelerator: 'XNNPACK', infer_ms: 12, objects: [{ label: 'Dog', score: 0.875, box: [0.1, 0.2, 0.3, 0.4] }] };
    const found = take(viewer, 'detections');
    agent.emit('detections', detections);
    assert.deepEqual(await found, [{ camera: 'front', ...detections }]);
    const left = take(agent, 'demand', ({ viewers }) => viewers === 0);
    viewer.disconnect();
    await left;
  });

  test(`a page that never watches gets server2web: ${name}`, async (t) => {
    const url = await startRelay(t);
    const agent = startAgent(t, url, 'front');
    await take(agent, 'demand');
    const page = connect(t, client, `${url}/web`, options);
    await take(agent, 'demand', ({ viewers }) => viewers === 1);
    for (let seq = 0; seq < 5; seq += 1) {
      const shown = take(page, 'server2web');
      sendFrame(agent, seq);
      const [{ image, text }] = await shown;
      assert.equal(text, '');
      const [head, body] = image.split(',');
      assert.equal(head, 'data:image/jpeg;base64');
      assert.deepEqual(Buffer.from(body, 'base64'), JPEG);
    }
  });
}
