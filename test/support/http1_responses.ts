import assert from 'node:assert/strict';

/** A complete response. */
export interface Http1Response {
  status: number;
  /** Names in lower case and values, alternating. */
  fields: string[];
  body: Buffer;
  trailers: string[];
  /** True if the connection ends with it. */
  isLast: boolean;
  /** True if its body ends with the connection, so that nobody knows whether it is whole. */
  isUnframed: boolean;
}

/** What decides where a response ends. */
export interface Asked {
  /** The method of its request. */
  method: string;
  /** True if nothing follows these bytes. */
  isOver: boolean;
}

/** A response, and the offset after it. */
interface Read {
  response: Http1Response;
  end: number;
}

const statusLine = /^HTTP\/1\.1 ([1-5]\d\d) [\t\x20-\x7e]*$/;
const fieldLine = /^([\w!#$%&'*+.^`|~-]+): ?([\t\x20-\x7e\x80-\xff]*)$/;
const chunkLine = /^[\da-f]{1,8}$/i;

/**
 * Reads the response at an offset, as strictly as RFC 9112 allows; undefined if it is incomplete. Interim responses are
 * skipped.
 */
export function readHttp1Response(bytes: Buffer, at: number, asked: Asked): Read | undefined {
  const headEnd = bytes.indexOf('\r\n\r\n', at);
  if (headEnd === -1) return undefined;
  const [start = '', ...lines] = bytes.toString('latin1', at, headEnd).split('\r\n');
  const [, code] =
    statusLine.exec(start) ?? assert.fail(`the status line ${JSON.stringify(start)}`);
  const status = Number(code);
  const fields = fieldsIn(lines);
  const from = headEnd + 4;
  if (status === 100) return readHttp1Response(bytes, from, asked);
  assert.ok(status >= 200, `an interim response with ${status}`);
  const body = readBody(bytes, from, { ...asked, status, fields });
  if (!body) return undefined;
  const isLast = valuesOf(fields, 'connection').some((value) => value.toLowerCase() === 'close');
  const { content, trailers, end, isUnframed = false } = body;
  return { response: { status, fields, body: content, trailers, isLast, isUnframed }, end };
}

interface Body {
  content: Buffer;
  trailers: string[];
  end: number;
  isUnframed?: boolean;
}

function readBody(
  bytes: Buffer,
  from: number,
  { method, isOver, status, fields }: Asked & { status: number; fields: readonly string[] },
): Body | undefined {
  const codings = valuesOf(fields, 'transfer-encoding');
  const lengths = valuesOf(fields, 'content-length');
  assert.ok(codings.length + lengths.length <= 1, `both lengths in ${fields.join()}`);
  const none = { content: Buffer.alloc(0), trailers: [], end: from };
  if (status === 204) assert.equal(codings.length + lengths.length, 0, 'a length with 204');
  if (method === 'HEAD' || status === 204 || status === 304) return none;
  const [length] = lengths;
  if (length !== undefined) {
    assert.match(length, /^\d+$/);
    const end = from + Number(length);
    if (bytes.length < end) return undefined;
    return { content: bytes.subarray(from, end), trailers: [], end };
  }
  if (codings.length > 0) {
    assert.deepEqual(codings, ['chunked']);
    return readChunks(bytes, from);
  }
  assert.ok(valuesOf(fields, 'connection').includes('close'), `no length in ${fields.join()}`);
  if (!isOver) return undefined;
  return { content: bytes.subarray(from), trailers: [], end: bytes.length, isUnframed: true };
}

function readChunks(bytes: Buffer, from: number): Body | undefined {
  const chunks: Buffer[] = [];
  let at = from;
  for (;;) {
    const lineEnd = bytes.indexOf('\r\n', at);
    if (lineEnd === -1) return undefined;
    const line = bytes.toString('latin1', at, lineEnd);
    assert.match(line, chunkLine);
    const size = Number.parseInt(line, 16);
    at = lineEnd + 2;
    if (size === 0) break;
    if (bytes.length < at + size + 2) return undefined;
    chunks.push(bytes.subarray(at, at + size));
    at += size;
    assert.equal(bytes.toString('latin1', at, at + 2), '\r\n', 'the end of a chunk');
    at += 2;
  }
  const content = Buffer.concat(chunks);
  // The empty line may follow at once.
  const end = bytes.indexOf('\r\n\r\n', at - 2);
  if (end === -1) return undefined;
  const text = bytes.toString('latin1', at, Math.max(at, end));
  return { content, trailers: text === '' ? [] : fieldsIn(text.split('\r\n')), end: end + 4 };
}

function fieldsIn(lines: readonly string[]): string[] {
  return lines.flatMap((line) => {
    const [, name = '', value = ''] =
      fieldLine.exec(line) ?? assert.fail(`the field ${JSON.stringify(line)}`);
    return [name.toLowerCase(), value];
  });
}

/** All values of a field. */
export function valuesOf(fields: readonly string[], name: string): string[] {
  return fields.filter((_, at) => at % 2 === 1 && fields[at - 1] === name);
}
