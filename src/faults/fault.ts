import { Status } from 'nice-grpc-common';
import { duration, integer, type Parse, size } from '../config/parse.ts';
import { ErrorCode } from '../engine/index.ts';
import { quote } from '../errors.ts';
import { messageOf } from '../message_of.ts';

/** A fault with the calls that it applies to. Times are in milliseconds, sizes in bytes. */
export type Fault = Action & Conditions;

/** What goes wrong. `after` counts response messages: 0 is before the headers. */
type Action =
  /** Ends the call with a status. */
  | ({ kind: 'status'; code: Status; after: number } & StatusDetails)
  /** Waits for a time between the two. */
  | { kind: 'delay'; ms: Range; after: number }
  /** Resets the stream with an error code of RFC 9113 section 7. */
  | { kind: 'reset'; code: number; after: number }
  /** Refuses the stream: REFUSED_STREAM, which clients retry. */
  | { kind: 'refuse'; after: 0 }
  /** Closes the connection. */
  | { kind: 'drop'; after: number }
  /** Sends GOAWAY; calls in flight finish. */
  | { kind: 'goaway'; after: number }
  /** Never goes on. */
  | { kind: 'hang'; after: number }
  /** Responds with an HTTP status, and without a gRPC status. */
  | { kind: 'http'; status: number; after: 0 }
  /** Waits between messages. */
  | { kind: 'pause'; ms: Range }
  /** Sends so many bytes a second. */
  | { kind: 'rate'; bytes: number }
  /** Sends half of a message, and ends the response without trailers. */
  | { kind: 'truncate'; after: number }
  /** Sends a message that cannot be decoded. */
  | { kind: 'garbage'; after: number }
  /** Ends the response without trailers; without `after`, at its end. */
  | { kind: 'no-status'; after: number | undefined }
  /** Sends a message that is said to be compressed, and is not. */
  | { kind: 'corrupt-compression'; after: number }
  /** Adds an unknown field of so many bytes to a message. */
  | { kind: 'big'; bytes: number; after: number };

export type FaultKind = Action['kind'];

/** What a status has beside its code. */
interface StatusDetails {
  message?: string | undefined;
  /** The value of `grpc-retry-pushback-ms`. */
  pushback?: number | undefined;
  /** The delay of google.rpc.RetryInfo. */
  retryInfo?: number | undefined;
}

/** Undefined conditions hold for every call. */
interface Conditions {
  /** The probability, 0 to 1. */
  p?: number | undefined;
  /** Holds for the first so many attempts of a call. */
  attempts?: number | undefined;
  /** Holds for every so manieth call of a connection. */
  nth?: number | undefined;
  /** Holds on the server with this hostname. */
  host?: string | undefined;
}

/** The least and the greatest value; the value is chosen at random. */
export type Range = readonly [least: number, greatest: number];

/** The maximum of entries, and of characters. */
const maxEntries = 16;
const maxLength = 1024;

/**
 * Parses faults, such as `status=UNAVAILABLE;p=0.3, delay=100ms..2s`: entries by comma, their parameters by semicolon.
 * Throws a RangeError that names the entry and the rule.
 */
export function parseFaults(text: string): readonly Fault[] {
  if (text.length > maxLength) throw new RangeError(`must have at most ${maxLength} characters`);
  const entries = text.split(',');
  if (entries.length > maxEntries) throw new RangeError(`must have at most ${maxEntries} entries`);
  return entries.map((entry, index) => {
    try {
      return parseEntry(entry);
    } catch (error) {
      throw new RangeError(`entry ${index + 1}, ${quote(entry.trim())}: ${messageOf(error)}`);
    }
  });
}

function parseEntry(entry: string): Fault {
  const [first = '', ...others] = entry.split(';').map((each) => each.trim());
  const [kind, value] = nameAndValue(first);
  const read = isKind(kind) ? actions[kind] : undefined;
  if (!read) throw new RangeError(notAnAction(kind));
  const parameters = new Map<string, string>();
  for (const other of others) {
    const [name, text] = nameAndValue(other);
    if (text === undefined) throw new RangeError(`${quote(other)} must be NAME=VALUE`);
    if (parameters.has(name)) throw new RangeError(`${name} must be given once`);
    parameters.set(name, text);
  }
  const take: Take = (name, parse) => {
    const text = parameters.get(name);
    parameters.delete(name);
    return text === undefined ? undefined : named(name, () => parse(text));
  };
  const conditions = {
    p: take('p', probability),
    attempts: take('attempts', integer(1, maxCount)),
    nth: take('nth', integer(1, maxCount)),
    host: take('host', String),
  };
  const action = read(value, take);
  for (const [name] of parameters) throw new RangeError(`${kind} has no parameter ${quote(name)}`);
  return { ...action, ...conditions };
}

/** The rule that the name of a fault breaks. */
function notAnAction(name: string): string {
  if (name === '') return 'must not be empty';
  const lower = name.toLowerCase();
  if (isKind(lower)) return `must begin with ${lower}, in lower case`;
  return `must begin with one of ${Object.keys(actions).join(', ')}`;
}

/** Splits NAME=VALUE, and decodes the value; undefined without a value. */
function nameAndValue(text: string): [name: string, value: string | undefined] {
  const at = text.indexOf('=');
  if (at === -1) return [text, undefined];
  const name = text.slice(0, at).trim();
  const value = text.slice(at + 1).trim();
  try {
    return [name, decodeURIComponent(value)];
  } catch {
    // A probability in percent is refused as such.
    if (name === 'p') return [name, value];
    throw new RangeError(`${name} must be percent-encoded UTF-8, with %25 for %`);
  }
}

type Take = <T>(name: string, parse: Parse<T>) => T | undefined;
type ReadAction = (value: string | undefined, take: Take) => Action;

const maxCount = 1_000_000;
const count = integer(0, maxCount);

const actions: Readonly<Record<FaultKind, ReadAction>> = {
  status: (value, take) => ({
    kind: 'status',
    code: given('status', value, statusCode),
    after: after(take),
    message: take('message', String),
    pushback: take('pushback', duration({ min: '0s', max: '1h' })),
    retryInfo: take('retry-info', duration({ min: '0s', max: '1h' })),
  }),
  delay: (value, take) => ({
    kind: 'delay',
    ms: given('delay', value, times),
    after: after(take),
  }),
  reset: (value, take) => ({
    kind: 'reset',
    code: given('reset', value, errorCode),
    after: after(take),
  }),
  refuse: (value) => ({ kind: bare('refuse', value), after: 0 }),
  drop: (value, take) => ({ kind: bare('drop', value), after: after(take) }),
  goaway: (value, take) => ({ kind: bare('goaway', value), after: after(take) }),
  hang: (value, take) => ({ kind: bare('hang', value), after: after(take) }),
  http: (value) => ({
    kind: 'http',
    status: given('http', value, integer(200, 599)),
    after: 0,
  }),
  pause: (value) => ({ kind: 'pause', ms: given('pause', value, times) }),
  rate: (value) => ({
    kind: 'rate',
    bytes: given('rate', value, size({ min: '1', max: '1GiB' })),
  }),
  truncate: (value, take) => ({ kind: bare('truncate', value), after: after(take) }),
  garbage: (value, take) => ({ kind: bare('garbage', value), after: after(take) }),
  'no-status': (value, take) => ({
    kind: bare('no-status', value),
    after: take('after', count),
  }),
  'corrupt-compression': (value, take) => ({
    kind: bare('corrupt-compression', value),
    after: after(take),
  }),
  big: (value, take) => ({
    kind: 'big',
    bytes: given('big', value, size({ min: '1', max: '64MiB' })),
    after: after(take),
  }),
};

function after(take: Take): number {
  return take('after', count) ?? 0;
}

function isKind(name: string): name is FaultKind {
  return Object.hasOwn(actions, name);
}

function given<T>(name: string, value: string | undefined, parse: Parse<T>): T {
  if (value === undefined) throw new RangeError(`${name} needs a value`);
  return named(name, () => parse(value));
}

function bare<const T extends string>(name: T, value: string | undefined): T {
  if (value !== undefined) throw new RangeError(`${name} has no value`);
  return name;
}

function named<T>(name: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new RangeError(`${name} ${messageOf(error)}`);
  }
}

function probability(text: string): number {
  const value = /^(\d+(\.\d*)?|\.\d+)$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= 0 && value <= 1))
    throw new RangeError('must be a number from 0 to 1, such as 0.5');
  return value;
}

function times(text: string): Range {
  const [least = '', greatest = least, ...more] = text.split('..');
  const parse = duration({ min: '0s', max: '1h' });
  const range = [parse(least), parse(greatest)] as const;
  if (more.length > 0 || range[1] < range[0]) {
    throw new RangeError('must be a duration, or a shorter and a longer one, such as 100ms..2s');
  }
  return range;
}

function statusCode(text: string): Status {
  const code = /^\d+$/.test(text) ? Number(text) : Object(Status)[text];
  if (typeof code === 'number' && code > 0 && Status[code] !== undefined) return code;
  checkCase(text, Status);
  throw new RangeError('must be the name or the number of a gRPC status other than OK');
}

function errorCode(text: string): number {
  const code = /^\d+$/.test(text) ? Number(text) : Object(ErrorCode)[text];
  if (typeof code === 'number' && code < 2 ** 32) return code;
  checkCase(text, ErrorCode);
  throw new RangeError('must be the name or the number of an HTTP/2 error code, such as CANCEL');
}

/** Throws a RangeError for the name of a code that is not in upper case. */
function checkCase(text: string, codes: object): void {
  const upper = text.toUpperCase();
  if (upper !== text && Object.hasOwn(codes, upper)) {
    throw new RangeError(`must be in upper case: ${upper}`);
  }
}
