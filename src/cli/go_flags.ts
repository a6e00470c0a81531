import type { Args, Flag } from './command.ts';
import { unknownFlag } from './unknown_flag.ts';

/** The values that Go's strconv.ParseBool accepts. */
const booleans = new Map([
  ...['1', 't', 'T', 'true', 'TRUE', 'True'].map((word) => [word, true] as const),
  ...['0', 'f', 'F', 'false', 'FALSE', 'False'].map((word) => [word, false] as const),
]);

/**
 * Parses arguments like Go's package flag, with one dash or two, but reports all errors. Operands start at the first
 * argument that is not a flag.
 */
export function parseGoFlags(known: readonly Flag[], argv: readonly string[]): Args | 'help' {
  const flags: Record<string, string | true | undefined> = {};
  const lists: Record<string, string[]> = {};
  const problems: string[] = [];
  const rest = [...argv];

  while (rest[0] !== undefined && /^-./.test(rest[0])) {
    const [arg] = rest.splice(0, 1);
    if (arg === undefined || arg === '--') break;
    const { name, text } = /^--?(?<name>[^-=][^=]*)(=(?<text>.*))?$/s.exec(arg)?.groups ?? {};
    const flag = known.find((each) => each.name === name);
    if (flag) take(flag, text);
    else if (name === 'h' || name === 'help') return 'help';
    else {
      problems.push(
        unknownFlag(
          arg,
          known.map((each) => each.name),
        ),
      );
      // The next argument may be meant as its value.
      if (text === undefined && !(rest[0] ?? '-').startsWith('-')) rest.shift();
    }
  }
  return { flags, lists, operands: rest, problems };

  function take({ name, value, repeats }: Flag, text: string | undefined): void {
    if (value === undefined) return takeSwitch(name, text ?? 'true');
    // Any next argument is the value: `-addr -tls` sets the address to "-tls".
    const given = text ?? rest.shift();
    if (given === undefined) problems.push(`--${name}: needs a value`);
    else if (repeats) (lists[name] ??= []).push(given);
    else flags[name] = given;
  }

  function takeSwitch(name: string, text: string): void {
    const on = booleans.get(text);
    if (on === undefined) problems.push(`--${name} "${text}": must be true or false`);
    else flags[name] = on || undefined;
  }
}
