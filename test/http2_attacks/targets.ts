import assert from 'node:assert/strict';
import { connect } from 'node:http2';
import { text } from 'node:stream/consumers';
import { createChannel, createClient } from 'nice-grpc';
import { Flag, FrameType } from '../../src/engine/http2/frames.ts';
import { EchoDefinition, EchoRequest } from '../echo/gen/echo.ts';
import {
  HealthCheckResponse_ServingStatus,
  HealthDefinition,
} from '../../src/gen/grpc/health/v1/health.ts';
import { plain } from '../hpack/blocks.ts';
import { frameOf } from '../support/http2_peer.ts';
import { paths } from '../support/kinds.ts';
import { frame } from '../support/raw_client.ts';

/** A server to attack, and how to call it. */
export interface Target {
  name: string;
  /** The program of its process. */
  program: string;
  /** Connects an honest client. */
  connect: (port: number) => Friend;
  /** The header block of a request that is never read or answered. */
  silent: Buffer;
  /** The frames of a request that is answered with slightly more than so many bytes. */
  sized(streamId: number, bytes: number): Buffer;
}

/** An honest client. */
interface Friend {
  /** Makes a call; resolves with its response. */
  ask(): Promise<void>;
  close(): void;
}

/** The header block of a request. */
export function request(method: 'GET' | 'POST', path: string): Buffer {
  // Indexed fields (RFC 7541 appendix A), and the path as a literal.
  const byIndex = [method === 'GET' ? 0x82 : 0x83, 0x86, 0x04, path.length];
  return Buffer.concat([Buffer.from(byIndex), Buffer.from(path)]);
}

/** The header block of a gRPC call. */
export function callOf(path: string, fields: Record<string, string> = {}): Buffer {
  const more = Object.entries({ 'content-type': 'application/grpc', ...fields });
  return Buffer.concat([request('POST', path), ...more.map((field) => plain(...field))]);
}

/** A complete HEADERS frame. */
export function headers(streamId: number, block: Buffer, flags = 0): Buffer {
  return frameOf(FrameType.HEADERS, Flag.END_HEADERS | flags, streamId, block);
}

/** HTTP/2 without gRPC. */
export const echo: Target = {
  name: 'the echo',
  program: 'echo_process.ts',
  connect(port) {
    const session = connect(`http://127.0.0.1:${port}`);
    return {
      async ask() {
        const stream = session.request({ ':method': 'POST' });
        stream.end('Is anybody there?');
        assert.equal(await text(stream), 'Is anybody there?');
      },
      close: () => session.destroy(),
    };
  },
  silent: request('POST', '/silent'),
  sized: (streamId, bytes) => headers(streamId, request('GET', `/${bytes}`)),
};

/** The services behind the whole chain; some methods of the echo service differ. */
export const product: Target = {
  name: 'the product',
  program: 'product_process.ts',
  connect(port) {
    const channel = createChannel(`127.0.0.1:${port}`);
    const client = createClient(EchoDefinition, channel);
    return {
      async ask() {
        const { text } = await client.unary({ text: 'Is anybody there' });
        assert.equal(text, 'Is anybody there');
      },
      close: () => channel.close(),
    };
  },
  silent: callOf(paths.clientStream),
  sized(streamId, bytes) {
    const message = frame(EchoRequest.encode({ text: `${bytes}` }).finish());
    return Buffer.concat([
      headers(streamId, callOf(paths.serverStream)),
      frameOf(FrameType.DATA, Flag.END_STREAM, streamId, message),
    ]);
  },
};

/** The same with a probe as honest client, which is answered when other calls are not. */
export const probed: Target = {
  ...product,
  connect(port) {
    const channel = createChannel(`127.0.0.1:${port}`);
    const client = createClient(HealthDefinition, channel);
    return {
      async ask() {
        const { status } = await client.check({});
        assert.equal(status, HealthCheckResponse_ServingStatus.SERVING);
      },
      close: () => channel.close(),
    };
  },
};
