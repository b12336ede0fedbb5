// Our agent in front of the tutorial's server and page, and of our relay with the tutorial's page.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startAgent, startRelay } from './lib/ours.mjs';
import { Page, SERVERS, decode, lastWords, readText, startServer } from './lib/tutorial.mjs';

/** Stops the agent; checks that the page got what it sent: pictures, text and rate. */
async function check(agent, page, fps) {
  await page.take(40);
  const last = await lastWords(agent);
  // A busy machine may send late, but not half of it.
  assert.ok(last.fps < fps * 1.05 && last.fps > fps / 2, `asked for ${fps} fps, sent ${last.fps}`);
  const messages = await page.take(Math.floor(last.sent * 0.9));
  for (const { image } of messages.slice(-3)) {
    const { width, height } = decode(image);
    assert.ok(width <= 640 && height <= 480, `${width}x${height}`);
  }
  const texts = messages.filter(({ text }) => text !== '').map(({ text }) => readText(text));
  assert.ok(texts.some(({ objects }) => objects.length > 0), 'there are objects on the clip');
}

for (const { stack, asyncMode } of SERVERS) {
  test(`our agent -> their server -> their page: ${stack}, ${asyncMode}`, async (t) => {
    const server = await startServer(stack, { asyncMode });
    t.after(() => server.stop());
    const page = new Page(stack === 'pinned' ? 2 : 4, server.url);
    t.after(() => page.close());
    await page.connected;

    const agent = startAgent({ port: server.port, fps: 5, args: ['--wire', 'tutorial'] });
    t.after(() => agent.stop());
    await agent.line(/Successfully connected/);
    await server.line(/CV client connected: \S+/);
    await check(agent, page, 5);
    await server.line(/CV client disconnected: \S+/);
  });
}

test('a server that handles the default namespace and /cv gets each picture once', async (t) => {
  const server = await startServer('current', { args: ['--namespace', '/', '--namespace', '/cv'] });
  t.after(() => server.stop());
  for (const wire of ['tutorial', 'tutorial-cv']) {
    const page = new Page(4, server.url);
    t.after(() => page.close());
    await page.connected;
    // Each of its pictures is another one: it has the time in it.
    const agent = startAgent({ port: server.port, source: 'test:320x240', fps: 10, detect: false, args: ['--wire', wire] });
    t.after(() => agent.stop());
    await page.take(30);
    const { sent } = await lastWords(agent);
    // A second time would come within the time that the first took.
    await new Promise((resolve) => setTimeout(resolve, 1000));
    assert.ok(page.messages.length <= sent, `${page.messages.length} came of ${sent}`);
    assert.equal(new Set(page.messages.map(({ image }) => image)).size, page.messages.length);
    page.close();
  }
});

test('a server that handles /cv alone: told what to do, and sent to', async (t) => {
  const server = await startServer('current', { args: ['--namespace', '/cv'] });
  t.after(() => server.stop());
  const page = new Page(4, server.url);
  t.after(() => page.close());
  await page.connected;
  const deaf = startAgent({ port: server.port, fps: 10, detect: false, args: ['--wire', 'tutorial'] });
  t.after(() => deaf.stop());
  await deaf.line(/no acknowledgement from the server .*use --wire tutorial-cv/);
  assert.equal(page.messages.length, 0);
  await deaf.stop();
  const agent = startAgent({ port: server.port, fps: 10, detect: false, args: ['--wire', 'tutorial-cv'] });
  t.after(() => agent.stop());
  decode((await page.take(20)).at(-1).image);
});

test('our agent waits for their server, and comes back to it after a restart', async (t) => {
  const first = await startServer('current');
  const { port } = first;
  await first.stop();
  const agent = startAgent({ port, fps: 10, detect: false, args: ['--wire', 'tutorial'] });
  t.after(() => agent.stop());
  await agent.line(/Failed to connect/);

  for (let round = 0; round < 2; round += 1) {
    const server = await startServer('current', { port });
    t.after(() => server.stop());
    const page = new Page(4, server.url);
    decode((await page.take(5)).at(-1).image);
    page.close();
    await server.stop('SIGKILL');
  }
});

for (const client of [2, 4]) {
  test(`our agent -> our relay -> their page: socket.io-client ${client}`, async (t) => {
    const relay = await startRelay();
    t.after(() => relay.stop());
    const page = new Page(client, relay.url);
    t.after(() => page.close());
    await page.connected;
    const agent = startAgent({ port: relay.port, fps: 10 });
    t.after(() => agent.stop());
    await check(agent, page, 10);
  });
}

for (const signal of ['SIGINT', 'SIGTERM']) {
  test(`start-up lines, connect and disconnect lines with ids, clean stop on ${signal}`, async (t) => {
    const relay = await startRelay();
    t.after(() => relay.stop());
    const page = new Page(4, relay.url);
    await page.connected;
    const [, viewer] = await relay.line(/viewer connected: (\S+)/);
    page.close();
    await relay.line(new RegExp(`viewer disconnected: ${viewer}`));

    const agent = startAgent({ port: relay.port, fps: 5 });
    t.after(() => agent.stop());
    await agent.line(/Loaded model: .*ssdlite_mobilenet/);
    await agent.line(/Engine: \S+/);
    await agent.line(/Accelerator: \S+/);
    await agent.line(/Labels: \d+/);
    await agent.line(/Successfully connected/);
    const [, id] = await relay.line(/agent connected: (\S+)/);
    assert.equal((await agent.stop(signal)).code, 0);
    await agent.line(/elapsed time: \d+\.\d+/);
    await relay.line(new RegExp(`agent disconnected: ${id}`));
  });
}
