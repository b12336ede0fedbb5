// Debian's Chromium, headless, with a fresh profile and no word to the outside.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** Starts a browser; `close()` ends it and removes its profile. */
export async function startChromium(options = {}) {
  const profile = await mkdtemp(join(tmpdir(), 'browser-test-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    args: ARGS,
    viewport: { width: 1280, height: 800 },
    ...options,
  });
  return {
    context,
    async close() {
      await context.close();
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** Opens a page and keeps what it complains of in `page.complaints`. */
export async function openPage(context, url, options = {}) {
  const page = await context.newPage();
  page.complaints = [];
  page.on('pageerror', (error) => page.complaints.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error') page.complaints.push(message.text());
  });
  if (options.viewport) await page.setViewportSize(options.viewport);
  if (options.colorScheme) await page.emulateMedia({ colorScheme: options.colorScheme });
  await page.goto(url);
  return page;
}

/** The page's own account of what it shows. */
export const state = (page) => page.evaluate(() => window.cv.state);

/** Waits until `predicate` holds for the state of the page. */
export async function until(page, predicate, timeout = 30_000) {
  const end = performance.now() + timeout;
  for (;;) {
    const now = await state(page);
    if (predicate(now)) return now;
    if (performance.now() > end) {
      throw new Error(`waited ${timeout} ms for ${predicate}; the page says ${JSON.stringify(now)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
