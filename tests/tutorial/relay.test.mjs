// The tutorial's CV client and page around our relay.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startRelay } from './lib/ours.mjs';
import { Page, STACKS, decode, lastWords, readText, startClient } from './lib/tutorial.mjs';

const CLIENTS = { 2: 'socket.io-client 2.0.3', 4: 'socket.io-client 4' };

for (const stack of STACKS) {
  test(`their client -> our relay -> their pages: ${stack}`, async (t) => {
    const relay = await startRelay();
    t.after(() => relay.stop());
    const pages = Object.keys(CLIENTS).map((client) => new Page(Number(client), relay.url));
    t.after(() => pages.forEach((page) => page.close()));
    await Promise.all(pages.map((page) => page.connected));

    const client = startClient(stack, relay.port, { fps: 10 });
    t.after(() => client.stop());
    await client.line(/Successfully connected/);

    await Promise.all(pages.map((page) => page.take(40)));
    const { sent, fps } = await lastWords(client);
    assert.ok(fps < 10.5, `asked for 10 fps, sent ${fps}`);
    // Pages that cannot acknowledge skip pictures when the machine is busy.
    const [old, current] = await Promise.all(pages.map((page) => page.take(Math.floor(sent * 0.75))));
    for (const messages of [old, current]) {
      const { width, height } = decode(messages.at(-1).image);
      assert.ok(width <= 640 && height <= 480, `${width}x${height}`);
      assert.ok(messages.map(({ text }) => readText(text)).some(({ objects }) => objects.length > 0));
    }
    // What one page saw, the other did too.
    const seen = new Set(old.map(({ image, text }) => `${image} ${text}`));
    assert.ok(current.filter(({ image, text }) => seen.has(`${image} ${text}`)).length > 20);
  });

  test(`their client, moved to /cv -> our relay -> their page: ${stack}`, async (t) => {
    const relay = await startRelay();
    t.after(() => relay.stop());
    const page = new Page(2, relay.url);
    t.after(() => page.close());
    await page.connected;
    const client = startClient(stack, relay.port, { fps: 10, detect: false, args: ['--namespace', '/cv'] });
    t.after(() => client.stop());
    decode((await page.take(20)).at(-1).image);
  });
}
