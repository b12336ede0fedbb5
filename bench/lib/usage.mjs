// Processor time and memory of a process, from /proc.
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

async function read(pid) {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  // The command's name may contain anything: count from its closing parenthesis.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return {
    cpuSeconds: (Number(fields[11]) + Number(fields[12])) / 100,
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
