import { existsSync, readFileSync } from 'node:fs';

/** The CPU time of a process, in milliseconds; 0 if it has ended. */
export function cpuTime(pid: number): number {
  if (!existsSync(`/proc/${pid}/stat`)) return 0;
  // The fields after the name, which may contain anything (proc_pid_stat(5)); in ticks of 10 ms.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}
