// Takes the README's picture of the page: node screenshot.mjs FILE [SECONDS]
import { openPage, startChromium } from './lib/chromium.mjs';
import { CLIP } from './lib/pictures.mjs';
import { startAgent, startRelay } from './lib/programs.mjs';

const [file, seconds = '25'] = process.argv.slice(2);
if (!file) throw new Error('usage: node screenshot.mjs FILE [SECONDS]');

const relay = await startRelay();
const agent = startAgent(relay.url, { source: CLIP, name: 'front-door', args: ['--stream-fps', '30'] });
const browser = await startChromium({ viewport: { width: 1440, height: 900 } });
try {
  const page = await openPage(browser.context, relay.url, { colorScheme: 'dark' });
  await page.waitForTimeout(Number(seconds) * 1000);
  await page.screenshot({ path: file });
} finally {
  await browser.close();
  await agent.stop();
  await relay.stop();
}
