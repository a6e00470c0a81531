import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { paths } from '../support/kinds.ts';
import { frame, packed } from '../support/raw_client.ts';
import { scriptPaths } from '../support/script.ts';
import { greeting } from '../http2_attacks/greeting.ts';
import { compressedResponse, calls, groups, MiB, nothing, responses, times } from './bytes.ts';
import { wideOpen } from './hostile.ts';
import { costsOf, serveMetered } from './metered.ts';
import { bytesOf, type Input } from './search_inputs.ts';

/** The worst inputs that search.ts found, with limits per byte. */
interface Worst {
  what: string;
  bytes: Buffer;
  /** Calls that end. */
  calls: number;
  /** The work in units of scheduler.ts: the minimum, as it must be counted, and the maximum. */
  work: readonly [least: number, most: number];
  /** Bytes sent back. */
  out: number;
}

const reflection = '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo';
const whole: Omit<Input, 'connections'> = {
  path: reflection,
  calls: 8,
  messages: 1,
  payload: 'zeros',
  fields: 'none',
  size: 4 * 1024 * 1024 - 1024,
  isZipped: true,
  frameSize: 16_384,
  end: 'END_STREAM',
  reads: true,
};
const zipped = { 'grpc-encoding': 'gzip' };

function found(input: Partial<Input>): Pick<Worst, 'bytes' | 'calls'> {
  return bytesOf({ ...whole, ...input });
}

function many(
  path: string,
  count: number,
  body: Buffer,
  fields = {},
): Pick<Worst, 'bytes' | 'calls'> {
  return { bytes: calls({ path, count, body, fields }), calls: count };
}

/** A request that fails with a message of so many U+0001. */
function failing(length: number): Buffer {
  const text = Buffer.alloc(length, 1);
  const status = Buffer.concat([Buffer.from([8, 2, 0x12, ...varint(length)]), text]);
  return frame(Buffer.concat([Buffer.from([0x1a, ...varint(status.length)]), status]));
}

function varint(value: number): number[] {
  return [(value & 127) | 128, value >> 7];
}

const worst: readonly Worst[] = [
  {
    what: 'groups in groups that inflate to 4 MiB',
    ...found({ payload: 'groups 90 deep' }),
    // A thousand bytes each, with a field for every two bytes.
    work: [2, 12],
    out: 0.1,
  },
  {
    what: '4 MiB that is no UTF-8',
    ...found({ path: paths.unary, payload: 'invalid UTF-8' }),
    work: [2, 6],
    out: 0.1,
  },
  {
    what: 'empty groups that inflate to 4 MiB',
    ...many(paths.unary, 8, groups(), zipped),
    work: [20, 40],
    out: 0.1,
  },
  {
    what: 'empty messages, each inflated',
    ...many(scriptPaths.clientStream, 4, times(500, packed(gzipSync(''))), zipped),
    // 150 units for 25 bytes.
    work: [6, 8],
    out: 0.1,
  },
  {
    what: 'messages that cannot be inflated',
    ...many(paths.unary, 500, packed(Buffer.alloc(30)), zipped),
    work: [4, 8],
    out: 3,
  },
  {
    what: 'calls of a method that nobody serves',
    ...many('/echo.Script/Nope', 1000, nothing),
    // 250 units for the 28 bytes of a call that ends with a status.
    work: [8, 10],
    out: 6,
  },
  {
    what: 'statuses of characters that are escaped',
    ...many(scriptPaths.unary, 60, failing(4096)),
    work: [0.05, 1],
    out: 2,
  },
  {
    what: 'many small responses',
    ...many(scriptPaths.serverStream, 20, responses(2000, 0)),
    // 16 units for two bytes.
    work: [6, 10],
    out: 6,
  },
  {
    what: 'questions for the largest descriptors',
    ...many(reflection, 2, times(300, frame(Buffer.from('\x22\x11google.rpc.Status', 'latin1')))),
    // Copying 6 kB for 24 bytes.
    work: [1, 4],
    out: 400,
  },
  {
    what: 'responses that are compressed',
    ...many(scriptPaths.unary, 500, compressedResponse(1), { 'grpc-accept-encoding': 'gzip' }),
    work: [4, 8],
    // The request ID of each response, too.
    out: 5,
  },
];

for (const { what, bytes, calls: count, work, out } of worst) {
  test(`work and output per byte of input are limited: ${what}`, async (t) => {
    await using server = await serveMetered();

    const costs = await costsOf(server, { hello: wideOpen, bytes, calls: count, ends: true });

    const each = (value: number) => value / bytes.length;
    t.diagnostic(`${each(costs.work).toFixed(2)} units, ${each(costs.out).toFixed(2)} bytes`);
    assert.ok(costs.ended >= count, `${costs.ended} calls have ended of ${count}`);
    assert.ok(each(costs.work) >= work[0], `${each(costs.work)} units for each byte`);
    assert.ok(each(costs.work) <= work[1], `${each(costs.work)} units for each byte`);
    assert.ok(each(costs.out) <= out, `${each(costs.out)} bytes for each byte`);
  });
}

/** Memory beside the charges: compiled code, objects kept for reuse. */
const anyMemory = 2 * 1024 * 1024;
/** An open call takes more than it is charged, and the number of calls is limited. See router.ts. */
const callMemory = 6 * 1024;

/** The inputs with the most memory per charge that search.ts found. */
const held: readonly { what: string; bytes: Buffer; calls?: number; hello?: Buffer }[] = [
  {
    what: 'answers of reflection that nobody reads',
    ...found({
      payload: 'field 2, empty',
      reads: false,
      messages: 921,
      calls: 55,
      size: 0,
      isZipped: false,
    }),
  },
  {
    what: 'small responses that nobody reads',
    ...many(scriptPaths.serverStream, 50, responses(2000, 0)),
  },
  {
    what: 'messages that have come in part',
    ...found({ path: paths.unary, isZipped: false, end: 'nothing' }),
  },
  {
    what: 'calls that wait for a message',
    bytes: calls({ path: paths.clientStream, count: 1000 }),
    calls: 1000,
  },
  {
    what: 'responses that were read, of calls that wait for another request',
    bytes: calls({
      path: scriptPaths.bidi,
      count: 16,
      body: responses(1, MiB),
      ends: false,
    }),
    hello: wideOpen,
  },
];

for (const { what, bytes, calls: open = 0, hello = greeting(0) } of held) {
  test(`memory that is held matches the charges: ${what}`, async (t) => {
    await using server = await serveMetered();
    const sent = { hello, bytes, calls: Number.POSITIVE_INFINITY, weighs: true };
    // A first run creates what all calls share.
    await costsOf(server, sent);

    const costs = await costsOf(server, sent);

    t.diagnostic(`${costs.held} bytes, ${costs.charged} charged`);
    const most = 2 * costs.charged + open * callMemory + anyMemory;
    assert.ok(costs.held <= most, `${costs.held} of ${costs.charged}`);
  });
}
