import {
  type Arbitrary,
  boolean,
  constant,
  constantFrom,
  nat,
  noBias,
  oneof,
  record,
} from 'fast-check';
import { maxWhich } from './hostile.ts';
import { paths } from './service.ts';

const path = constantFrom(...Object.values(paths), '/sim/None');
const size = constantFrom(0, 1, 10, 10, 500, 1000, 20_000, 70_000, 120_000);
const which = noBias(nat(maxWhich));
const who = { peer: noBias(nat(9)) };
const of = { ...who, which };

const open = record({
  ...who,
  do: constant('open'),
  path,
  large: constantFrom(0, 0, 0, 0, 100, 3000, 9000, 40_000),
  isInserted: boolean(),
  ends: boolean(),
  timeout: constantFrom(undefined, undefined, undefined, '100m', '2S', 'soon'),
  encoding: constantFrom(undefined, undefined, undefined, 'gzip', 'brotli'),
  continuations: constantFrom(0, 0, 0, 1, 5),
  message: constantFrom(undefined, 0, 10, 10, 2000, 20_000, 70_000),
});
const message = record({
  ...of,
  do: constant('message'),
  kind: constantFrom('whole', 'whole', 'whole', 'half', 'tiny', 'zipped', 'bomb', 'malformed'),
  size,
  ends: boolean(),
});
const grow = record({
  ...of,
  do: constant('grow'),
  by: constantFrom(1, 100, 1000, 30_000, 30_000, 1_000_000, 2 ** 31 - 1),
});
const settings = record({
  ...who,
  do: constant('settings'),
  initialWindow: constantFrom(0, 0, 1, 1000, 65_535, 1_000_000, 2 ** 31 - 1),
  maxFrameSize: constantFrom(16_384, 16_384, 20_000, 2 ** 24 - 1),
});
const flood = record({
  ...who,
  do: constant('flood'),
  kind: constantFrom(
    'ping',
    'settings',
    'priority',
    'empty',
    'resets',
    'window',
    'idle calls',
    'echo calls',
    'held calls',
    'endless responses',
    'endless responses',
    'half uploads',
    'half uploads',
    'kept uploads',
    'tiny echoes',
    'tiny uploads',
  ),
  count: constantFrom(5, 30, 100, 300),
});

const floodByAll = record({
  do: constant('flood by all'),
  kind: constantFrom('resets', 'echo calls', 'endless responses', 'tiny echoes', 'tiny uploads'),
  count: constantFrom(5, 30),
});

/** A move: `peer` is the index of a hostile client, and `which` that of its stream. */
export const move = oneof(
  { weight: 32, arbitrary: open },
  { weight: 32, arbitrary: message },
  { weight: 8, arbitrary: record({ ...of, do: constantFrom('end', 'reset') }) },
  { weight: 12, arbitrary: grow },
  { weight: 8, arbitrary: settings },
  { weight: 14, arbitrary: flood },
  { weight: 2, arbitrary: floodByAll },
  { weight: 8, arbitrary: record({ ...of, do: constant('frame'), what: noBias(nat(9999)) }) },
  { weight: 4, arbitrary: record({ ...who, do: constantFrom('answer', 'greet wrongly') }) },
  {
    weight: 4,
    arbitrary: record({ ...who, do: constant('cut'), chunk: constantFrom(1, 7, 1000, 1e9) }),
  },
  { weight: 4, arbitrary: record({ ...who, do: constant('withhold'), bytes: nat(40) }) },
  { weight: 8, arbitrary: record({ ...who, do: constantFrom('stop reading', 'read') }) },
  { weight: 4, arbitrary: record({ ...who, do: constantFrom('break off', 'leave') }) },
  {
    weight: 20,
    arbitrary: record({
      do: constant('honest call'),
      count: constantFrom(1, 1, 2, 3),
      size: constantFrom(0, 10, 1000, 30_000, 90_000),
    }),
  },
  { weight: 40, arbitrary: record({ do: constant('turn'), count: constantFrom(1, 1, 2, 5) }) },
  { weight: 8, arbitrary: record({ do: constant('time'), ms: constantFrom(1, 100, 1000, 5000) }) },
  { weight: 4, arbitrary: record({ do: constant('open the gate') }) },
  // Rare, as it sends GOAWAY to everyone.
  { weight: 3, arbitrary: record({ do: constantFrom('retire', 'shut down') }) },
);

/** One of those. */
export type Move = typeof move extends Arbitrary<infer Each> ? Each : never;
