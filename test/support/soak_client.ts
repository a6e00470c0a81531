import { once } from 'node:events';
import { connect } from 'node:net';
import { Status } from 'nice-grpc';
import { Flag, FrameType, preface, FrameReader } from '../../src/engine/http2/frames.ts';
import { createHpackDecoder } from '../../src/engine/http2/hpack/decoder.ts';
import { encodeHeaders } from '../../src/engine/http2/hpack/encoder.ts';
import { frameOf, word } from './http2_peer.ts';

/** A raw connection that knows how each of its calls ended. */
export interface SoakClient {
  /** Opens a call; returns its stream identifier. */
  open(path: string, headers?: readonly string[]): number;
  /** Sends a part of its body, optionally the last. */
  send(id: number, bytes: Buffer, how?: { end: boolean }): void;
  /** Resolves with the first bytes of its response. */
  replied(id: number): Promise<void>;
  /** Resolves with its status; rejects if the stream or the connection ends without one. */
  ended(id: number): Promise<string>;
  /** Cancels it with RST_STREAM. */
  cancel(id: number): void;
  /** Closes the connection, gracefully or with a TCP RST. */
  close(how?: { reset: boolean }): Promise<void>;
}

interface Call {
  replied: PromiseWithResolvers<void>;
  ended: PromiseWithResolvers<string>;
}

/** Connects to a server at HOST:PORT. */
export async function connectSoak(address: string): Promise<SoakClient> {
  const [host = '', port = ''] = address.split(':');
  const socket = connect({ host, port: Number(port), noDelay: true });
  socket.on('error', () => {});
  const closed = once(socket, 'close');
  const calls = new Map<number, Call>();
  const decoder = createHpackDecoder({ maxHeaderListSize: 64 * 1024 });
  let lastId = -1;

  const reader = new FrameReader(({ type, flags, streamId, bytes, start, end }) => {
    const call = calls.get(streamId);
    if (type === FrameType.PING && (flags & Flag.ACK) === 0) {
      socket.write(frameOf(FrameType.PING, Flag.ACK, 0, bytes.subarray(start, end)));
    } else if (type === FrameType.HEADERS) {
      const { fields } = decoder.decode(bytes.subarray(start, end));
      const at = fields.indexOf('grpc-status');
      if (at >= 0) call?.ended.resolve(Status[Number(fields[at + 1])] ?? 'none');
    } else if (type === FrameType.DATA) call?.replied.resolve();
    else if (type === FrameType.RST_STREAM) call?.ended.reject(new Error('was reset'));
  });
  reader.read(preface);
  socket.on('data', (bytes: Buffer) => reader.read(bytes));
  socket.once('close', () => {
    for (const { ended } of calls.values()) ended.reject(new Error('was cut off'));
  });
  socket.write(Buffer.concat([preface, frameOf(FrameType.SETTINGS, 0, 0, Buffer.alloc(0))]));

  return {
    open(path, headers = []) {
      lastId += 2;
      const call: Call = { replied: Promise.withResolvers(), ended: Promise.withResolvers() };
      // It may never be awaited.
      call.ended.promise.catch(() => {});
      calls.set(lastId, call);
      const fields = [':method', 'POST', ':scheme', 'http', ':path', path, ':authority', 'soak'];
      const all = [...fields, 'content-type', 'application/grpc', 'te', 'trailers', ...headers];
      const block = encodeHeaders(all);
      socket.write(frameOf(FrameType.HEADERS, Flag.END_HEADERS, lastId, block));
      return lastId;
    },
    send(id, bytes, { end } = { end: false }) {
      socket.write(frameOf(FrameType.DATA, end ? Flag.END_STREAM : 0, id, bytes));
    },
    replied: (id) => callOf(id).replied.promise,
    ended: (id) => callOf(id).ended.promise,
    cancel: (id) => void socket.write(frameOf(FrameType.RST_STREAM, 0, id, word(8))),
    async close({ reset } = { reset: false }) {
      if (reset) socket.resetAndDestroy();
      else socket.end();
      await closed;
    },
  };

  function callOf(id: number): Call {
    const call = calls.get(id);
    if (!call) throw new Error(`Cannot find call ${id}`);
    return call;
  }
}
