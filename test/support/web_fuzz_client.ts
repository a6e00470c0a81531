import assert from 'node:assert/strict';
import type { Random } from '../hpack/random.ts';
import { type Asked, readHttp1Response, valuesOf } from './http1_responses.ts';
import { readAnswer, type WebAnswer } from './web_fuzz_answers.ts';
import type { FuzzRequest } from './web_fuzz_requests.ts';

/** A request, and what has become of it. */
export interface Exchange {
  readonly request: FuzzRequest;
  /** When its first byte was sent, in milliseconds. */
  beganAt: number;
  /** True once all of it has been sent. */
  isComplete: boolean;
  /** True if its answer need not be understood: what was sent is not what the request says. */
  isTainted: boolean;
  /** True if no answer is needed. */
  isCut: boolean;
  answeredAt: number | undefined;
  /** The status of the call that the answer has; undefined if it is not of a call. */
  told: string | undefined;
}

/** The client of one connection. */
export interface WebFuzzClient {
  readonly exchanges: readonly Exchange[];
  /** True until it sends something invalid. */
  readonly isStrict: boolean;
  /** True once an answer was cut off. */
  readonly isTruncated: boolean;
  /** Returns what it sends next, which may be nothing. */
  say(): Buffer;
  /** Returns the rest of all that it has begun. */
  finish(): Buffer;
  /** It has ended its side, or disconnected, perhaps in the middle of a request. */
  end(): void;
  /** Reads what the server has sent; `isOver` is true if nothing follows. Throws if that is invalid. */
  hear(bytes: Buffer, isOver: boolean): void;
}

/** Dependencies of a client. */
export interface WebFuzzClientDeps {
  random: Random;
  next: () => FuzzRequest;
  /** One in so many times, it sends something invalid; 0 for never. */
  wrongOneIn: number;
  /** Milliseconds. */
  now: () => number;
  /** True if the server may close the connection after any answer. */
  mayLeave: () => boolean;
}

/** Begins an exchange. */
export function exchangeOf(request: FuzzRequest, beganAt: number): Exchange {
  return {
    request,
    beganAt,
    isComplete: false,
    isTainted: false,
    isCut: false,
    answeredAt: undefined,
    told: undefined,
  };
}

/** Notes the answer to a request. */
export function answered(exchange: Exchange, answer: WebAnswer, now: number): void {
  assert.equal(exchange.answeredAt, undefined, `a second answer to ${exchange.request.id}`);
  exchange.answeredAt = now;
  if (exchange.isTainted) return;
  try {
    exchange.told = readAnswer(exchange.request, answer);
  } catch (cause) {
    const got = shownOf(answer);
    throw new Error(`the answer ${got} to ${shownOf(exchange.request)}`, { cause });
  }
}

/** Formats a request or a response for messages. */
export function shownOf(about: { fields: readonly string[]; body: Buffer }): string {
  return JSON.stringify({ ...about, fields: about.fields.join(' '), body: shown(about.body) });
}

function shown(bytes: Buffer): string {
  return `${bytes.toString('latin1', 0, 200)} (${bytes.length} bytes)`;
}

/** A request in the queue of a connection, and the offsets where its bytes begin and end. */
interface Queued extends Exchange {
  readonly from: number;
  readonly bodyFrom: number;
  readonly to: number;
}

/** More are refused. */
const maxPipelined = 8;

/** Creates a client of HTTP/1.1. */
export function createHttp1FuzzClient({
  random,
  next,
  wrongOneIn,
  now,
  mayLeave,
}: WebFuzzClientDeps): WebFuzzClient {
  const { below, oneIn, pick } = random;
  const pipelines = oneIn(3);
  const exchanges: Queued[] = [];
  let queue = Buffer.alloc(0);
  /** The bytes sent so far, and the number of them before the first invalid one. */
  let said = 0;
  let invalidAt = Number.POSITIVE_INFINITY;
  let isLastQueued = false;
  let isUpgrading = false;
  let hasEnded = false;
  let heard = Buffer.alloc(0);
  let isAnswered = 0;
  /** True once the server has sent its last answer. */
  let isLeft = false;
  let isTruncated = false;

  return {
    exchanges,
    get isStrict() {
      return invalidAt === Number.POSITIVE_INFINITY;
    },
    get isTruncated() {
      return isTruncated;
    },
    say() {
      if (queue.length === 0 || (pipelines && oneIn(3))) add();
      if (wrongOneIn > 0 && oneIn(wrongOneIn)) breakRules();
      return send(oneIn(2) ? queue.length : below(queue.length + 1));
    },
    finish: () => send(queue.length),
    end: () => void (hasEnded = true),
    hear,
  };

  function send(length: number): Buffer {
    const bytes = queue.subarray(0, length);
    queue = queue.subarray(length);
    said += length;
    for (const exchange of exchanges) {
      if (exchange.from < said && exchange.beganAt === -1) exchange.beganAt = now();
      if (exchange.to <= said) exchange.isComplete = true;
      if (exchange.to > invalidAt) exchange.isTainted = true;
    }
    return bytes;
  }

  function add(): void {
    const waiting = exchanges.length - isAnswered;
    // node:http loses what follows in the same segment, and a client must wait anyway (RFC 9110 section 7.8).
    if (isUpgrading && waiting + queue.length > 0) return;
    isUpgrading = false;
    if (isLastQueued || isLeft || waiting >= (pipelines ? maxPipelined : 1)) return;
    const request = next();
    const bytes = encoded(request);
    const from = said + queue.length;
    const bodyFrom = from + bytes.indexOf('\r\n\r\n') + 4;
    exchanges.push({ ...exchangeOf(request, -1), from, bodyFrom, to: from + bytes.length });
    queue = Buffer.concat([queue, bytes]);
  }

  function encoded(request: FuzzRequest): Buffer {
    const { method, path, body } = request;
    const isOld = oneIn(40);
    const fields = [...request.fields];
    if (!isOld || oneIn(2)) fields.push('host', 'x');
    if (isOld || oneIn(15)) {
      isLastQueued = true;
      if (!isOld || oneIn(2)) fields.push('connection', 'close');
    } else if (oneIn(10)) fields.push('connection', 'keep-alive');
    else if (oneIn(20)) {
      fields.push('connection', 'Upgrade, HTTP2-Settings', 'upgrade', 'h2c');
      isUpgrading = true;
    }
    if (oneIn(20)) fields.push('expect', pick(['100-continue', '100-Continue', 'something']));
    let framed = body;
    if (body.length > 0 && !isOld && oneIn(3)) {
      fields.push('transfer-encoding', pick(['chunked', 'Chunked']));
      framed = inChunks(body);
    } else if (body.length > 0 || oneIn(3)) fields.push('content-length', String(body.length));
    const lines = [`${method} ${path} HTTP/1.${isOld ? 0 : 1}`];
    for (let at = 0; at < fields.length; at += 2) lines.push(line(fields[at], fields[at + 1]));
    return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), framed]);
  }

  function line(name = '', value = ''): string {
    const written = oneIn(4) ? name.replaceAll(/\b[a-z]/g, (c) => c.toUpperCase()) : name;
    return `${written}:${pick([' ', ' ', '', '\t ', '   '])}${value}${oneIn(10) ? '  ' : ''}`;
  }

  function inChunks(body: Buffer): Buffer {
    const parts: Buffer[] = [];
    for (let rest = body; ;) {
      const size = pick([1, rest.length, rest.length, 1 + below(rest.length)]);
      const chunk = rest.subarray(0, size);
      const digits = chunk.length.toString(16).padStart(pick([0, 0, 6]), '0');
      const extension = pick(['', '', '', ';a', ';a=b', ';a="b c"']);
      const written = oneIn(3) ? digits.toUpperCase() : digits;
      parts.push(Buffer.from(`${written}${extension}\r\n`), chunk, Buffer.from('\r\n'));
      rest = rest.subarray(size);
      if (rest.length === 0) break;
      // A million chunks would only take time.
      if (parts.length > 60) {
        parts.push(Buffer.from(`${rest.length.toString(16)}\r\n`), rest, Buffer.from('\r\n'));
        break;
      }
    }
    const trailer = pick(['', '', 'x-end: yes\r\n']);
    return Buffer.concat([...parts, Buffer.from(`${pick(['0', '000'])}\r\n${trailer}\r\n`)]);
  }

  /** Changes what is sent next so that it is invalid, or may be. */
  function breakRules(): void {
    invalidAt = Math.min(invalidAt, said);
    const start = 'POST /echo.Echo/Unary HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n';
    pick([
      () => append(`${start}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`),
      () => append(`${start}content-length: 2\r\ncontent-length: 3\r\n\r\n{}`),
      () =>
        append(
          `${start}content-length: ${pick(['1', '20', '-1', '1e1', '2, 2', '0x2'])}\r\n\r\n{}`,
        ),
      () =>
        append(
          `${start}transfer-encoding: chunked\r\n\r\n${pick(['zz', '-1', '', '2;\n', 'fffffffff'])}\r\n`,
        ),
      () =>
        append(
          `${start}transfer-encoding: ${pick(['gzip', 'chunked, gzip', 'xchunked'])}\r\n\r\n2\r\n{}\r\n0\r\n\r\n`,
        ),
      () => append(`${start}x : y\r\n\r\n`),
      () => append(`${start}x: a\rb\r\n\r\n`),
      () => append(`${start} folded\r\n\r\n`),
      () => append(`${start}x: ${'x'.repeat(20_000)}\r\n\r\n`),
      () => append(`${'x: y\r\n'.repeat(pick([1, 3000]))}\r\n`),
      () => append('GET / HTTP/1.1\r\n\r\n'),
      () => append(`CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n`),
      () => append(`${pick(['get', 'PRI', 'FOO', 'G\0T'])} / HTTP/1.1\r\nhost: x\r\n\r\n`),
      () => append(`GET / HTTP/${pick(['0.9', '1.2', '2.0', '3', ''])}\r\nhost: x\r\n\r\n`),
      () => append(`${start}\r\n`.replaceAll('\r\n', '\n')),
      () => append(random.text(50)),
      () => {
        queue = Buffer.from(queue);
        if (queue.length > 0) queue[below(queue.length)] = below(256);
      },
      () => {
        queue = Buffer.from(queue);
        if (queue.length > 0) queue[below(queue.length)] = below(256);
      },
      () => {
        queue = queue.subarray(below(queue.length + 1));
      },
    ])();
  }

  function append(text: string): void {
    queue = Buffer.concat([queue, Buffer.from(text, 'latin1')]);
  }

  function hear(bytes: Buffer, isOver: boolean): void {
    // After one byte, it may be a client of HTTP/2 that does not go on.
    if (said <= 1 || (said > invalidAt && bytes[0] === 0)) return;
    if (bytes.length > 0) heard = Buffer.concat([heard, bytes]);
    while (heard.length > 0) {
      assert.ok(!isLeft, `more after the last answer: ${shown(heard)}`);
      const exchange = exchanges[isAnswered];
      const isAsked = exchange !== undefined && exchange.beganAt !== -1;
      assert.ok(isAsked || hasEnded || said > invalidAt, `an answer to nothing: ${shown(heard)}`);
      const read = readHttp1Response(heard, 0, askedBy(exchange, isOver));
      if (!read) break;
      heard = heard.subarray(read.end);
      isLeft = read.response.isLast;
      if (exchange && !isInstead(exchange, read.response)) {
        isAnswered++;
        const isSure = !hasEnded && said <= invalidAt && !mayLeave();
        if (read.response.isUnframed && !isSure) exchange.isTainted = true;
        answered(exchange, read.response, now());
        if (isLeft) checkEnd(exchange, read.response.status);
      }
      // The requests after the last answer have none.
      if (isLeft) for (const other of exchanges.slice(isAnswered)) other.isCut = true;
    }
    if (isOver && heard.length > 0) isTruncated = true;
  }

  /**
   * True if this refuses something invalid, and takes the place of the answer to an earlier request, or if the server
   * does not wait for the rest of a header.
   */
  function isInstead(
    { isTainted, request, bodyFrom }: Queued,
    { status, fields }: WebAnswer,
  ): boolean {
    if (status === 408 && said < bodyFrom) return true;
    const isInvalid = said > invalidAt || hasEnded;
    if (isTainted || !isInvalid || request.refusals.includes(status)) return false;
    const isJson = valuesOf(fields, 'content-type').includes('application/json');
    return !isJson && [400, 408, 431].includes(status);
  }

  function askedBy(exchange: Exchange | undefined, isOver: boolean): Asked {
    // The connection is refused, whatever the method is, and possibly after 100 Continue.
    const start = heard.toString('latin1', 0, 60);
    const isRefused = /^(?:HTTP\/1\.1 100 Continue\r\n\r\n)?HTTP\/1\.1 (?:400 Bad|408|431) /.test(
      start,
    );
    const method = isRefused ? 'GET' : (exchange?.request.method ?? 'GET');
    return { method, isOver };
  }

  function checkEnd(exchange: Queued, status: number): void {
    if (mayLeave() || hasEnded || said > invalidAt || status === 505) return;
    assert.ok(isLastQueued && exchange === exchanges.at(-1), 'closed without a reason');
  }
}
