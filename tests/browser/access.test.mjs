// Who may come in, with the real relay: set-up, signing in and out, sessions, agents, foreign pages.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { openPage, startChromium, state, until } from './lib/chromium.mjs';
import { programEnv, startAgent, startRelay } from './lib/programs.mjs';

const PASSWORD = 'correct horse battery';

let browser;
let folder;
let relay;
let page;
let agent;

before(async () => {
  browser = await startChromium();
});
after(() => browser.close());

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'access-test-'));
});
afterEach(async () => {
  await page?.close();
  await agent?.stop();
  await relay?.stop();
  [page, agent, relay] = [];
  await browser.context.clearCookies();
  await rm(folder, { recursive: true, force: true });
});

/** A relay on every address, so that nothing is open; `args` besides. */
async function start(...args) {
  relay = await startRelay({ host: '0.0.0.0', args: ['--data-dir', join(folder, 'data'), ...args] });
}

/** `cv-relay ARGS`, on the relay's data. */
async function command(args, input = '') {
  const child = spawn(relay.binary, [...args, '--data-dir', join(folder, 'data')], {
    env: programEnv(),
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  child.stdin.end(input);
  let output = '';
  child.stdout.on('data', (data) => (output += data));
  const [status] = await once(child, 'exit');
  assert.equal(status, 0, output);
  return output.trim();
}

const addUser = (name, ...args) => command(['user', 'add', name, '--password-stdin', ...args], PASSWORD);

async function open(hash = '', url = relay.url) {
  page = await openPage(browser.context, url + hash);
}

const connected = () => until(page, ({ link }) => link === 'connected');
const text = (selector) => page.textContent(selector);

async function signIn(name, password = PASSWORD) {
  await page.waitForSelector('#sign-in[open]');
  await page.fill('#sign-in-name', name);
  await page.fill('#sign-in-password', password);
  await page.click('#sign-in-button');
}

/** What the menu says of the person. */
async function menu() {
  await page.click('#account');
  const said = await text('#account-menu');
  await page.click('#account');
  return said;
}

const choose = async (item) => {
  await page.click('#account');
  await page.click(`#account-menu >> text=${item}`);
};

describe('the first administrator', () => {
  const create = async () => {
    await page.waitForSelector('#sign-in[open]');
    assert.equal(await text('#sign-in-title'), 'Create the first administrator');
    await page.fill('#sign-in-name', 'eva');
    await page.fill('#sign-in-password', PASSWORD);
    await page.fill('#sign-in-again', PASSWORD);
    await page.click('#sign-in-button');
  };

  test('is created on the relay’s own machine without a link', async () => {
    await start();
    await open('', relay.url.replace('127.0.0.1', 'localhost'));
    await create();
    await connected();
    assert.equal(await text('#account-name'), 'eva');
    assert.match(await menu(), /evaAdministrator/);
  });

  test('is created by the set-up link, which works once and leaves the address', async () => {
    await start();
    const [, secret] = await relay.line(/#set-up=(cvu_\S+)/);
    // As another machine sees it: the page is closed, and says what to do.
    const proxy = createServer((request, response) => forward(request, response)).listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    const far = `http://127.0.0.1:${proxy.address().port}/`;
    const { request } = await import('node:http');
    const forward = (incoming, outgoing) => {
      const headers = { ...incoming.headers, 'x-forwarded-for': '192.0.2.7' };
      const onward = request({ port: relay.port, path: incoming.url, method: incoming.method, headers }, (answer) => {
        outgoing.writeHead(answer.statusCode, answer.headers);
        answer.pipe(outgoing);
      });
      onward.on('error', () => outgoing.destroy());
      incoming.pipe(onward);
    };
    const shown = await (await fetch(`${far}api/session`)).json();
    assert.deepEqual([shown.set_up, shown.may_watch], ['link', false]);
    proxy.closeAllConnections();
    proxy.close();

    await open(`#set-up=${secret}`);
    await create();
    await connected();
    assert.equal(await page.evaluate(() => location.hash), '');
    await page.close();
    await browser.context.clearCookies();
    await open(`#set-up=${secret}`);
    await page.waitForSelector('#sign-in[open]');
    assert.equal(await text('#sign-in-title'), 'Sign in');
    assert.match(await text('#sign-in-message'), /used already/);
  });
});

describe('people', () => {
  beforeEach(async () => {
    await start();
    await addUser('eva', '--admin');
  });

  test('a wrong password is said, the right one lets in, signing out shuts the door', async () => {
    await open();
    await signIn('eva', 'wrong');
    await page.waitForFunction(() => document.querySelector('#sign-in-error').textContent !== '');
    assert.match(await text('#sign-in-error'), /Name or password is wrong/);
    assert.equal((await state(page)).link === 'connected', false);
    await signIn('eva');
    await connected();
    await page.reload();
    await connected();
    const [cookie] = await browser.context.cookies();
    assert.deepEqual([cookie.httpOnly, cookie.sameSite], [true, 'Lax']);
    assert.equal(await page.evaluate(() => document.cookie), '');
    await choose('Sign out');
    await page.waitForSelector('#sign-in[open]');
    assert.equal((await browser.context.cookies()).length, 0);
  });

  test('a session that has ended asks to sign in again', async () => {
    await open();
    await signIn('eva');
    await connected();
    await command(['user', 'password', 'eva', '--password-stdin'], 'another long password');
    await page.waitForSelector('#sign-in[open]', { timeout: 5000 });
    assert.match(await text('#sign-in-message'), /session has ended/);
    await signIn('eva', 'another long password');
    await connected();
  });

  test('a viewer is told what is lacking, and sees the own cameras only', async () => {
    await addUser('carl', '--camera', 'back');
    const token = await command(['token', 'create', 'test', '--scope', 'admin']);
    agent = startAgent(relay.url, { source: 'test', name: 'front', args: ['--no-detect', '--state-dir', join(folder, 'agent')] });
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const accept = () => fetch(`${relay.url}api/agents/accept`, { method: 'POST', headers, body: '{"name":"front"}' });
    while ((await accept()).status !== 204) await new Promise((resolve) => setTimeout(resolve, 50));
    await open('#camera=front');
    await signIn('carl');
    await connected();
    await page.waitForFunction(() => document.querySelector('.pane .notice-title')?.textContent === 'Not for you to see');
    assert.deepEqual((await state(page)).cameras, []);
    const said = await menu();
    assert.match(said, /carlViewer/);
    assert.match(said, /some of the cameras/);
    assert.match(said, /Cameras: back/);
    assert.equal(said.includes('Administration'), false);
  });

  test('an administrator accepts an agent with one click, and revokes it', async () => {
    await open();
    await signIn('eva');
    await connected();
    agent = startAgent(relay.url, { source: 'test', name: 'front', args: ['--no-detect', '--state-dir', join(folder, 'agent')] });
    const [, code] = await agent.line(/code (\d{4})/);
    await page.waitForSelector('.ask');
    assert.match(await text('.ask'), new RegExp(`front wants to join, code ${code}`));
    await page.click('.ask .primary');
    await until(page, ({ panes }) => panes[0]?.counts.painted > 3);
    assert.equal(await page.$('.ask'), null);
    await choose('Administration');
    await page.waitForSelector('.entries >> text=accepted');
    await page.click('.entries >> text=Revoke');
    await page.click('.entries >> text=Yes');
    await until(page, ({ cameras }) => cameras[0]?.state === 'offline', 3000);
    await page.waitForSelector('.entries >> text=revoked');
    await agent.line(/has revoked/);
  });

  test('people, tokens, sessions and the log are administered', async () => {
    await open();
    await signIn('eva');
    await connected();
    await choose('Administration');
    await page.click('.tabs >> text=People');
    await page.click('summary >> text=Add a person');
    const fields = await page.$$('.admin details input');
    await fields[0].fill('<b>bob</b>');
    await fields[1].fill('bobs password');
    await page.click('.admin details [type=submit]');
    await page.waitForSelector('.entries >> text=<b>bob</b>');
    assert.equal(await page.$('.entries b b'), null, 'text is text');
    await page.click('.tabs >> text=Tokens');
    await page.click('summary >> text=Make a token');
    await page.fill('.admin details input', 'home');
    await page.click('.admin details [type=submit]');
    await page.waitForSelector('.made code');
    const token = await text('.made code');
    const answer = await fetch(`${relay.url}api/cameras`, { headers: { authorization: `Bearer ${token}` } });
    assert.equal(answer.status, 200);
    await page.click('.tabs >> text=Sessions');
    await page.waitForSelector('.entries >> text=(here)');
    await page.click('.tabs >> text=Log');
    await page.waitForSelector('.log >> text=token made home');
    assert.deepEqual(page.complaints.filter((text) => !/401/.test(text)), []);
  });
});

describe('doors', () => {
  test('a relay that is open to everyone says so on the page', async () => {
    await start('--open');
    await open();
    await connected();
    assert.equal(await text('#account-name'), 'Open to everyone');
    assert.match(await menu(), /Whoever reaches this relay/);
  });
});
