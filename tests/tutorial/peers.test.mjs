// The tutorial's programs among themselves: what the other tests replace one at a time works as described.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Page, SERVERS, STACKS, decode, lastWords, readText, startClient, startServer } from './lib/tutorial.mjs';

for (const { stack, asyncMode } of SERVERS) {
  test(`their client, server and page: ${stack}, ${asyncMode}`, async (t) => {
    const server = await startServer(stack, { asyncMode });
    t.after(() => server.stop());
    const page = new Page(stack === 'pinned' ? 2 : 4, server.url);
    t.after(() => page.close());
    await page.connected;
    await server.line(/Web client connected: \S+/);

    const client = startClient(stack, server.port, { fps: 5 });
    t.after(() => client.stop());
    await client.line(/Successfully connected/);
    await server.line(/CV client connected: \S+/);

    const messages = await page.take(20);
    const { width, height } = decode(messages.at(-1).image);
    assert.ok(width <= 640 && height <= 480 && width >= 320, `${width}x${height}`);
    const texts = messages.map(({ text }) => readText(text));
    assert.ok(texts.some(({ objects }) => objects.length > 0), 'the clip shows people and bicycles');

    const { fps } = await lastWords(client);
    assert.ok(fps < 5.3, `asked for 5 fps, sent ${fps}`);
    await client.line(/^Program Ending$/);
    await server.line(/CV client disconnected: \S+/);
  });
}

for (const stack of STACKS) {
  test(`their server hears the default namespace alone, unless its handler was moved: ${stack}`, async (t) => {
    for (const [args, heard] of [[[], false], [['--namespace', '/cv'], true]]) {
      const server = await startServer(stack, { args });
      t.after(() => server.stop());
      const page = new Page(stack === 'pinned' ? 2 : 4, server.url);
      t.after(() => page.close());
      await page.connected;
      const client = startClient(stack, server.port, { fps: 10, detect: false, args: ['--namespace', '/cv'] });
      t.after(() => client.stop());
      if (heard) {
        decode((await page.take(20)).at(-1).image);
      } else {
        await client.line(/Successfully connected/);
        await assert.rejects(page.take(1, { timeoutMs: 3000 }));
        const { sent } = await lastWords(client);
        assert.ok(sent > 5, `sent ${sent}`);
      }
    }
  });
}
