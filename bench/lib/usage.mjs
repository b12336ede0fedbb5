// Processor time and memory of a process, from /proc.
import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

async function read(pid) {
  // In nanoseconds, unlike /proc/PID/stat; a thread that ends in between takes its time with it.
  const threads = await readdir(`/proc/${pid}/task`);
  const times = await Promise.all(threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').catch(() => '0')));
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return {
    cpuSeconds: times.reduce((sum, text) => sum + Number(text.split(' ')[0]), 0) / 1e9,
    residentMb: (Number(/^VmRSS:\s+(\d+)/m.exec(status)[1]) * 1024) / 1e6,
  };
}

/** Waits `warmup` seconds, then measures for `seconds`. */
export async function usage(pid, warmup, seconds) {
  await sleep(warmup * 1000);
  const first = await read(pid);
  await sleep(seconds * 1000);
  const last = await read(pid);
  return { cpuSeconds: last.cpuSeconds - first.cpuSeconds, residentMb: last.residentMb };
}
