// Our agent in front of the tutorial's server and page, and of our relay with the tutorial's page.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startAgent, startRelay } from './lib/ours.mjs';
import { Page, STACKS, decode, rate, readText, startServer } from './lib/tutorial.mjs';

function check(messages, fps) {
  const steady = messages.slice(10);
  assert.ok(rate(steady) > fps * 0.9 && rate(steady) < fps * 1.1, `asked for ${fps} fps, got ${rate(steady)}`);
  for (const { image } of messages.slice(-3)) {
    const { width, height } = decode(image);
    assert.ok(width <= 640 && height <= 480, `${width}x${height}`);
  }
  const texts = messages.slice(10).map(({ text }) => readText(text));
  assert.ok(texts.some(({ objects }) => objects.length > 0), 'the clip shows people and bicycles');
}

for (const stack of STACKS) {
  test(`our agent -> their server (${stack}) -> their page`, async (t) => {
    const server = await startServer(stack);
    t.after(() => server.stop());
    const page = new Page(stack === 'pinned' ? 2 : 4, server.url);
    t.after(() => page.close());
    await page.connected;

    const agent = startAgent({ port: server.port, fps: 10, args: ['--wire', 'tutorial'] });
    t.after(() => agent.stop());
    await agent.line(/Successfully connected/);
    await server.line(/CV client connected: \S+/);
    check(await page.take(40), 10);

    await agent.stop('SIGINT');
    await agent.line(/elapsed.*\d+\.\d+/i);
    await agent.line(/approx.*fps.*\d+\.\d+/i);
    await server.line(/CV client disconnected: \S+/);
  });
}

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
    check(await page.take(40), 10);
  });
}
