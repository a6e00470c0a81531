import { encodeHeaders } from '../http2/hpack/encoder.ts';
import { type RequestHeaders, valueOf } from '../http2/request_headers.ts';
import type { Stream, StreamEvents } from '../http2/stream.ts';
import type { Deadline, Deadlines } from './open_calls.ts';

/** What is answered to a request that is no gRPC call, in HTTP's own words. */
export interface Refusal {
  status: '405' | '415' | '431';
  text: string;
}

/** Says why a request is no gRPC call, if it is none (PROTOCOL-HTTP2.md, Requests). */
export function refuse({ method, fields, overLimit }: RequestHeaders): Refusal | undefined {
  if (overLimit !== undefined && !(method === 'POST' && isGrpc(fields))) {
    // RFC 6585 section 5.
    return { status: '431', text: `Header fields have at most ${overLimit} bytes\n` };
  }
  if (method !== 'POST') return { status: '405', text: 'gRPC calls are POST requests\n' };
  if (isGrpc(fields)) return undefined;
  return { status: '415', text: 'gRPC calls have the content type application/grpc\n' };
}

/** Whether it takes more than gRPC: another protocol, another codec, or a compression that gRPC has not. */
export function isForWeb({ method, fields, overLimit, web }: RequestHeaders): boolean {
  if (web || overLimit !== undefined) return false;
  return method !== 'POST' || !isGrpc(fields) || valueOf(fields, 'grpc-encoding') === 'br';
}

function isGrpc(fields: readonly string[]): boolean {
  const type = valueOf(fields, 'content-type');
  return type !== undefined && /^application\/grpc(?:\+proto)?\s*(?:;|$)/i.test(type);
}

/** How long a request may go on after it was refused, in milliseconds. */
const patienceMs = 1000;

/**
 * A request that is answered before it has ended. The answer stays open as long as the request, so
 * that the peer still hears what else it gets wrong, but not for ever.
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
    this.at = now() + patienceMs;
    this.#stream = stream;
    this.#deadlines = deadlines;
    stream.respond(encodeHeaders([':status', status, 'content-type', 'text/plain']));
    stream.write(Buffer.from(text));
    deadlines.add(this);
  }

  /** Nothing is consumed: the peer's window bounds what comes. */
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
