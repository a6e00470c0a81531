import { existsSync, readFileSync } from 'node:fs';

/** The processor time that a process has had, in milliseconds; 0 for one that is gone. */
export function cpuTime(pid: number): number {
  if (!existsSync(`/proc/${pid}/stat`)) return 0;
  // Behind the name, which may be of anything (proc_pid_stat(5)); in ticks of 10 ms.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}
