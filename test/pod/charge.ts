import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { methodsOf } from '../../src/transport/catalogue.ts';
import { callOf } from '../http2_attacks/targets.ts';
import { frame } from '../support/raw_client.ts';
import { type Held, type Measured, startMeasured } from './held.ts';
import { type Attacked, payloads, type Shape, shapesOf } from './payloads.ts';
import { createTable } from './table.ts';

/** `npm test` measures some cells; POD_MATRIX=all measures every method with each payload. */
const isWhole = process.env['POD_MATRIX'] === 'all';
/** Methods with this in their name are measured alone, with each payload. */
const chosen = process.env['POD_METHOD'];

const KiB = 1024;
const MiB = 1024 * KiB;
/** The maximum ratio of memory to charges. */
export const maxRatio = 2;
/** The growth of an idle server between two measurements. */
const noise = MiB / 2;
/** The bytes of a body that has just begun. */
const beginning = 60;
/** The number of empty calls that are opened to measure one. */
const emptyCalls = 500;

/** The states of request bodies: just begun, half, complete without END_STREAM, or ended. */
const states = {
  begun: { ends: false, reads: 'none' },
  half: { ends: false, reads: 'none' },
  whole: { ends: false, reads: 'none' },
  unread: { ends: true, reads: 'none' },
  'not read': { ends: true, reads: 'nothing' },
} as const;
type State = keyof typeof states;

/**
 * Messages of about so many bytes, and the number of calls: one that needs admission, one that does not, and a small
 * one.
 */
export const large = { size: MiB - KiB, calls: 8 };
export const medium = { size: 60 * KiB, calls: 100 };
export const small = { size: 800, calls: 3000 };
type Amount = Partial<typeof large> & { calls: number };

/** A method, with its type as in metrics. */
export interface Method extends Attacked {
  type: string;
}

/** What is sent, and in which state it stops. */
export interface Cell extends Amount {
  method: Method;
  payload: string;
  state: State;
}

/** What to measure on a pod with these settings. */
export interface Charges {
  env: Record<string, string>;
  methods: readonly Method[];
  /** The cells of `npm test`. */
  some: readonly Cell[];
  /** Additional payloads of single methods. */
  lines: readonly Pick<Cell, 'method' | 'payload' | 'state' | 'calls'>[];
}

/** The methods of services. */
export function methodsToMeasure(services: Parameters<typeof methodsOf>[0]): readonly Method[] {
  return methodsOf(services).map(({ path, type }) => ({
    path,
    type,
    requestStream: type === 'client_stream' || type === 'bidi_stream',
  }));
}

/** The method of this path. */
export function methodAt(methods: readonly Method[], path: string): Method {
  return methods.find((method) => method.path === path) ?? assert.fail(`nobody serves ${path}`);
}

/** Asserts that memory is at most `maxRatio` bytes for each byte that is charged. */
export async function measureCharges(t: TestContext, charges: Charges): Promise<void> {
  await using server = await startMeasured(charges.env);
  const measure = createMeasurement(server);
  const table = createTable('MiB charged → MiB taken');
  const failures: string[] = [];
  for (const cell of isWhole || chosen !== undefined ? allCells(charges) : charges.some) {
    const { charged, taken } = await measure(cell);
    const { method, payload, state, size = 0 } = cell;
    const [row, column] = [`${method.path} ${state}`, `${payload}${sizeName(size)}`];
    const told = `${(charged / MiB).toFixed(2)} → ${(taken / MiB).toFixed(2)}`;
    table.set(row, column, told);
    if (isTooMuch({ charged, taken })) failures.push(`${row}, ${column}: ${told}`);
  }
  for (const line of table.lines()) t.diagnostic(line);
  assert.deepEqual(failures, []);
}

function sizeName(size: number): string {
  if (size === 0) return '';
  return size < KiB ? ` ${size} B` : ` ${Math.round(size / KiB)} KiB`;
}

function isTooMuch({ charged, taken }: Taken): boolean {
  return taken > maxRatio * Math.max(0, charged) + noise;
}

/** What does not depend on the method is measured with one method of each kind. */
function allCells({ methods, lines }: Charges): Cell[] {
  const kinds = new Set<string>();
  const cells = methods
    .filter(({ path }) => path.includes(chosen ?? ''))
    .flatMap((method): Cell[] => {
      const isFirst = !kinds.has(method.type);
      kinds.add(method.type);
      const ends: State[] = method.requestStream ? ['whole', 'unread'] : ['unread'];
      const of = (payload: string, state: State, amount: Amount) => ({
        method,
        payload,
        state,
        ...amount,
      });
      const parts = [large, medium, small].flatMap((amount) => [
        of('plain', 'begun', amount),
        of('plain', 'half', amount),
        ...(method.requestStream ? [] : [of('plain', 'whole', amount)]),
      ]);
      return [
        ...(isFirst ? [...parts, of('metadata', 'whole', { calls: 300 })] : []),
        ...(isFirst ? [of('plain', 'unread', large)] : []),
        ...ends.flatMap((state) => [of('plain', state, medium), of('plain', state, small)]),
        ...payloads
          .filter((payload) => payload !== 'plain' && payload !== 'metadata')
          .flatMap((payload) => ends.map((state) => of(payload, state, medium))),
        of('metadata', 'unread', { calls: 300 }),
      ];
    });
  return [...cells, ...lines.filter(({ method }) => method.path.includes(chosen ?? ''))];
}

/** The memory beyond that of as many empty calls. */
interface Taken {
  charged: number;
  taken: number;
}

/** The growth of an idle server, by code that is compiled and by caches, ends after so many measurements. */
const maxMeasurements = 5;

/** Measures a cell, and repeats the measurement while it exceeds the limit: what peers hold exceeds it every time. */
function createMeasurement(server: Measured): (cell: Cell) => Promise<Taken> {
  let idle: Held | undefined;
  let empty = new Map<string, Taken>();
  return async (cell) => {
    let found = await measure(cell);
    for (let count = 1; count < maxMeasurements && isTooMuch(found); count++) {
      idle = undefined;
      empty = new Map();
      found = await measure(cell);
    }
    return found;
  };

  async function measure(cell: Cell): Promise<Taken> {
    const { method, payload, state, size, calls } = cell;
    idle ??= await server.idle();
    const one = await ofEmptyCall(cell, idle);
    const shapes = shapesOf(method, payload, size).map((shape) => cut(shape, state));
    const { memory, charged, streams } = await server.holds({ shapes, calls, ...states[state] });
    return {
      charged: charged - idle.charged - streams * one.charged,
      taken: memory - idle.memory - streams * one.taken,
    };
  }

  /** Nothing is subtracted if no call stays open, as when responses are not read. */
  async function ofEmptyCall({ method, state, calls }: Cell, idle: Held): Promise<Taken> {
    const many = Math.max(emptyCalls, calls);
    const key = `${method.path} ${state} ${many}`;
    const known = empty.get(key);
    if (known) return known;
    const isPart = state === 'half' || state === 'begun';
    const body = isPart ? Buffer.alloc(0) : frame(Buffer.alloc(0));
    const shapes = [{ block: callOf(method.path), body }];
    const { memory, charged, streams } = await server.holds({
      shapes,
      calls: many,
      ...states[state],
    });
    const made = {
      charged: (charged - idle.charged) / Math.max(1, streams),
      taken: (memory - idle.memory) / Math.max(1, streams),
    };
    empty.set(key, streams === 0 ? { charged: 0, taken: 0 } : made);
    return streams === 0 ? { charged: 0, taken: 0 } : made;
  }
}

function cut(shape: Shape, state: State): Shape {
  const { body } = shape;
  if (state === 'begun') return { ...shape, body: body.subarray(0, beginning) };
  return state === 'half' ? { ...shape, body: body.subarray(0, body.length / 2) } : shape;
}
