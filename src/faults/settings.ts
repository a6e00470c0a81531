import { integer } from '../config/parse.ts';
import type { Read } from '../config/setting.ts';
import { messageOf } from '../message_of.ts';
import { type Fault, parseFaults } from './fault.ts';

/** The settings of fault injection. */
export function readFaultSettings(read: Read) {
  return {
    faults: read('faults', {
      value: 'on|off|RULES',
      fallback: 'on',
      help: 'faults that calls ask for in x-greeter-fault: on, off, or on with RULES for calls that ask for none',
      parse: onOffOrRules,
    }),
    maxFaults: read('max-faults', {
      value: 'COUNT',
      fallback: '100',
      help: 'calls with faults that are open at once; further ones are served without theirs',
      parse: integer(0, 1_000_000),
    }),
  };
}

/** The rules for calls that ask for no faults; undefined if faults are disabled. */
function onOffOrRules(text: string): readonly Fault[] | undefined {
  if (text === 'on' || text === 'true') return [];
  if (text === 'off' || text === 'false') return undefined;
  const lower = text.toLowerCase();
  if (['on', 'off', 'true', 'false'].includes(lower)) {
    throw new RangeError(`must be in lower case: ${lower}`);
  }
  try {
    return parseFaults(text);
  } catch (error) {
    const rule = messageOf(error);
    throw new RangeError(`must be on, off or faults such as status=UNAVAILABLE;p=0.2: ${rule}`);
  }
}
