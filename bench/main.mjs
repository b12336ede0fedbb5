// Runs benchmarks and prints their tables; started by scripts/bench.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import os from 'node:os';
import { parseArgs } from 'node:util';
import { stopAll } from './lib/programs.mjs';
import { table } from './lib/table.mjs';

const FIGURES = ['relay', 'agent', 'latency', 'slow-viewer', 'uplink', 'rtt', 'two-cameras', 'page', 'tutorial'];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'boolean' }, quick: { type: 'boolean' } },
});
const wanted = positionals.length === 0 || positionals.includes('all') ? FIGURES : positionals;
const unknown = wanted.find((name) => !FIGURES.includes(name));
if (unknown) {
  console.error(`error: unknown figure ${unknown}; expected ${FIGURES.join(', ')} or all`);
  process.exit(64);
}

const machine = {
  date: new Date().toISOString().slice(0, 10),
  commit: execFileSync('git', ['describe', '--always', '--dirty'], { encoding: 'utf8' }).trim(),
  processor: /^model name\s*: (.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? os.arch(),
  cores: os.cpus().length,
  kernel: os.release(),
};
/** Full length, or a fifth of it: enough to see that everything runs, too short to be quoted. */
const seconds = (full) => (values.quick ? Math.max(1, Math.round(full / 5)) : full);

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => stopAll().then(() => process.exit(130)));
}

const results = {};
let failed = false;
if (!values.json) {
  console.log(`${machine.processor}, ${machine.cores} cores, Linux ${machine.kernel}, ${machine.date}, commit ${machine.commit}`);
  if (values.quick) console.log('Quick run: these figures are not to be quoted.');
}
for (const name of wanted) {
  const { title, run } = await import(`./figures/${name}.mjs`);
  if (!values.json) console.log(`\n## ${title}\n\nscripts/bench ${name}; load average before: ${os.loadavg()[0].toFixed(2)}\n`);
  try {
    const rows = await run({ seconds });
    results[name] = { title, rows };
    if (!values.json) console.log(table(rows));
    failed ||= rows.some(({ met }) => met === false);
  } catch (error) {
    results[name] = { title, error: error.message };
    console.error(`error: ${name}: ${error.stack}`);
    failed = true;
  } finally {
    await stopAll();
  }
}
if (values.json) console.log(JSON.stringify({ machine, quick: values.quick ?? false, results }, null, 2));
process.exit(failed ? 1 : 0);
