import { withOwnMemory } from '../buffers.ts';
import { encodeHeaders } from '../http2/hpack/encoder.ts';
import { type RequestHeaders, valueOf } from '../http2/request_headers.ts';
import type { Stream, StreamEvents } from '../http2/stream.ts';
import type { Deadline, Deadlines } from './open_calls.ts';

/** The HTTP response to a request that is not a gRPC call. */
export interface Refusal {
  status: '405' | '415' | '431';
  text: string;
}

/**
 * Returns the response to a request that is not a gRPC call; undefined for a gRPC call (PROTOCOL-HTTP2.md, Requests).
 */
export function refuse({ method, fields, overLimit }: RequestHeaders): Refusal | undefined {
  if (overLimit !== undefined && !(method === 'POST' && isGrpc(fields))) {
    // RFC 6585 section 5.
    return { status: '431', text: `Header fields have at most ${overLimit} bytes\n` };
  }
  if (method !== 'POST') return { status: '405', text: 'gRPC calls are POST requests\n' };
  if (isGrpc(fields)) return undefined;
  return { status: '415', text: 'gRPC calls have the content type application/grpc\n' };
}

/** True if the request needs another protocol or codec than gRPC, or an encoding that the engine does not have. */
export function isForWeb({ method, fields, overLimit, web }: RequestHeaders): boolean {
  if (web || overLimit !== undefined) return false;
  return method !== 'POST' || !isGrpc(fields) || valueOf(fields, 'grpc-encoding') === 'br';
}

function isGrpc(fields: readonly string[]): boolean {
  const type = valueOf(fields, 'content-type');
  return type !== undefined && /^application\/grpc(?:\+proto)?\s*(?:;|$)/i.test(type);
}

/** Milliseconds that a refused request may continue. */
const refusedForMs = 1000;

/**
 * A request that is refused before it is complete. The stream stays open as long as the request, so that further
 * protocol errors are reported, but at most for a second.
 */
export class RefusedRequest implements StreamEvents, Deadline {
  readonly at: number;
  place = -1;
  readonly #stream: Stream;
  readonly #deadlines: Deadlines;

  constructor(
    stream: Stream,
    { status, text }: Refusal,
    { deadlines, now }: { deadlines: Deadlines; now: () => number },
  ) {
    this.at = now() + refusedForMs;
    this.#stream = stream;
    this.#deadlines = deadlines;
    stream.respond(encodeHeaders([':status', status, 'content-type', 'text/plain']));
    stream.write(withOwnMemory(Buffer.from(text)));
    deadlines.add(this);
  }

  /** The body is not consumed, so the stream window limits it. */
  data(): void {}

  end(): void {
    this.#stream.end();
  }

  reset(): void {
    this.#deadlines.delete(this);
  }

  failed(): void {
    this.#deadlines.delete(this);
  }

  expire(): void {
    this.#stream.abandon();
  }

  drain(): void {}

  sent(): void {
    this.#deadlines.delete(this);
  }

  passed(): void {
    this.#stream.abandon();
  }
}
