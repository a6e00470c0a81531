import { Flag, FrameType } from '../../src/engine/http2/frames.ts';
import { encodeHeaders } from '../../src/engine/http2/hpack/encoder.ts';
import { block, plain } from '../hpack/blocks.ts';
import { frameOf } from '../support/http2_peer.ts';
import { headers, type NamedFrame, requestFields } from './frames.ts';

const { END_STREAM, END_HEADERS } = Flag;

const base = requestFields('/');

/** Valid and invalid requests without a body. */
export const requestFrames: readonly NamedFrame[] = [
  ...lists().map(([name, fields]) => ({
    name: `request: ${name}`,
    of: (id: number) => headers(id, fields, END_STREAM),
    answered: true,
  })),
  {
    name: 'request: a list of 40000 bytes',
    of: (id) =>
      block(
        frameOf(FrameType.HEADERS, END_STREAM, id, encodeHeaders(base)),
        ...[0, 0, END_HEADERS].map((flags) =>
          frameOf(FrameType.CONTINUATION, flags, id, plain('x', 'y'.repeat(13_000))),
        ),
      ),
    answered: true,
  },
];

function lists(): [name: string, fields: readonly string[]][] {
  const lists: [string, readonly string[]][] = [];
  const names = [':method', ':scheme', ':authority', ':path'];
  names.forEach((name, i) => {
    add(`without ${name}`, base.toSpliced(i * 2, 2));
    add(`${name} empty`, base.with(i * 2 + 1, ''));
    add(`${name} twice`, [...base.slice(0, 8), name, base[i * 2 + 1] ?? '']);
    add(`${name} with a space`, base.with(i * 2 + 1, `${base[i * 2 + 1]} x`));
    add(`${name} with a NUL`, base.with(i * 2 + 1, `${base[i * 2 + 1]}\0`));
    add(`${name} with LF`, base.with(i * 2 + 1, `${base[i * 2 + 1]}\n`));
    add(`${name} with U+0080`, base.with(i * 2 + 1, `${base[i * 2 + 1]}\u0080`));
    add(`${name} after a field`, [
      ...base.toSpliced(i * 2, 2),
      'x',
      'y',
      ...base.slice(i * 2, i * 2 + 2),
    ]);
    add(`${name} with white space at its end`, base.with(i * 2 + 1, `${base[i * 2 + 1]} `));
  });
  add('pseudo-header fields in another order', [...base.slice(4), ...base.slice(0, 4)]);
  add('empty', []);
  add(':status', [...base, ':status', '200']);
  add(':protocol without the setting', [...base, ':protocol', 'websocket']);
  add('an unknown pseudo-header field', [...base, ':x', 'y']);
  add('":" alone', [...base, ':', 'y']);
  add('CONNECT', [':method', 'CONNECT', ':authority', 'localhost:80']);
  add('CONNECT with path and scheme', [
    ':method',
    'CONNECT',
    ':authority',
    'localhost:80',
    ':path',
    '/',
    ':scheme',
    'http',
  ]);
  add('CONNECT with :protocol', base.with(1, 'CONNECT').concat(':protocol', 'websocket'));
  add('CONNECT without :authority', [':method', 'CONNECT']);
  add('OPTIONS of *', base.with(1, 'OPTIONS').with(7, '*'));
  add('GET', base.with(1, 'GET'));
  add('an unknown method', base.with(1, 'BREW'));
  add('a method in lower case', base.with(1, 'post'));
  add('scheme https', base.with(3, 'https'));
  add('an unknown scheme', base.with(3, 'gopher'));
  add('an upper-case scheme', base.with(3, 'HTTP'));
  add('a path without "/"', base.with(7, 'x'));
  add('a path that is a URL', base.with(7, 'http://localhost/'));
  add('a path with "#"', base.with(7, '/#x'));
  add('a path of "//"', base.with(7, '//x'));
  add('a path with "%zz"', base.with(7, '/%zz'));
  add('an authority with userinfo', base.with(5, 'a@localhost'));
  add('an authority with "/"', base.with(5, 'local/host'));
  add('host in place of :authority', [...base.toSpliced(4, 2), 'host', 'localhost']);
  add('host that is not :authority', [...base, 'host', 'elsewhere']);
  add('host that is :authority', [...base, 'host', 'localhost']);
  add('host twice', [...base, 'host', 'localhost', 'host', 'localhost']);
  for (const name of [
    'Upper',
    'UPPER',
    'x y',
    'x:y',
    'x\0',
    'x\n',
    'x\u007f',
    'x\u00e9',
    ' x',
    'x(',
    'x"',
    '',
    'x_y',
    "x'",
    '-',
    '!',
    'x\t',
    'x{',
    'x@',
  ])
    add(`a field named ${quoted(name)}`, [...base, name, 'y']);
  for (const value of [
    '',
    'a b',
    ' a',
    'a ',
    '\ta',
    'a\t',
    ' ',
    'a\0',
    'a\n',
    'a\r',
    'a\r\nb: c',
    'a\u007f',
    'a\u0080',
    'a\u00ff',
    'a\u0001',
    'a\tb',
    'a\u001f',
    'a\u000b',
  ])
    add(`a value of ${quoted(value)}`, [...base, 'x', value]);
  for (const name of [
    'connection',
    'keep-alive',
    'proxy-connection',
    'transfer-encoding',
    'upgrade',
    'http2-settings',
  ])
    add(name, [...base, name, name === 'transfer-encoding' ? 'chunked' : 'x']);
  for (const value of ['trailers', 'Trailers', 'gzip', 'trailers, deflate', '', 'trailers;q=1'])
    add(`te: ${value || '(empty)'}`, [...base, 'te', value]);
  add('te twice', [...base, 'te', 'trailers', 'te', 'trailers']);
  add('connection: close', [...base, 'connection', 'close']);
  add('expect: 100-continue', [...base, 'expect', '100-continue']);
  add('expect: something else', [...base, 'expect', 'x']);
  add('cookie in two fields', [...base, 'cookie', 'a=b', 'cookie', 'c=d']);
  add('content-type twice', [...base, 'content-type', 'a/b', 'content-type', 'a/b']);
  add('trailer: x', [...base, 'trailer', 'x']);
  add('trailer: content-length', [...base, 'trailer', 'content-length']);
  add('priority: u=9', [...base, 'priority', 'u=9']);
  add('a list of 16384 bytes', sized(16384));
  add('a list of 16385 bytes', sized(16385));
  add('200 fields', [...base, ...Array.from({ length: 200 }, () => ['x', 'y']).flat()]);
  return lists;

  function add(name: string, fields: readonly string[]): void {
    lists.push([name, fields]);
  }
}

/** A list of so many bytes (RFC 9113 section 6.5.2). */
function sized(size: number): string[] {
  const others = base.join('').length + (base.length / 2) * 32;
  return [...base, 'x', 'y'.repeat(size - others - 33)];
}

/** Quotes a text, with invisible octets escaped. */
function quoted(text: string): string {
  return JSON.stringify(text).replaceAll(/[^ -~]/g, (c) => `\\u00${c.charCodeAt(0).toString(16)}`);
}
