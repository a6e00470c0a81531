import { Flag, FrameType } from '../../src/engine/http2/frames.ts';
import { block, insert, plain } from '../hpack/blocks.ts';
import { frameOf, post } from '../support/http2_peer.ts';

/** The header fields of a call. */
export interface RequestParts {
  path: string;
  /** The name by which the world knows the call. */
  name: string;
  /** The bytes of an additional field. */
  large?: number;
  /** True if its fields are added to the dynamic table. */
  isInserted?: boolean;
  timeout?: string | undefined;
  encoding?: string | undefined;
  /** The number of CONTINUATION frames. */
  continuations?: number;
  ends?: boolean;
}

const longestPart = 16_000;

/** Opens a stream for a call. */
export function requestHeaders(
  id: number,
  { path, name, large = 0, isInserted, timeout, encoding, continuations = 0, ends }: RequestParts,
): Buffer {
  const put = isInserted ? insert : plain;
  // `:method: POST` and `:scheme: http`; the path is the name with the static index 4.
  const fields = [post.subarray(0, 2), plain(4, path), put('content-type', 'application/grpc')];
  fields.push(put('te', 'trailers'), plain('x-call', name));
  if (timeout !== undefined) fields.push(plain('grpc-timeout', timeout));
  if (encoding !== undefined) fields.push(plain('grpc-encoding', encoding));
  if (large > 0) fields.push(put('x-large', 'x'.repeat(large)));
  const whole = block(...fields);
  const size = Math.min(longestPart, Math.ceil(whole.length / (continuations + 1)));
  const frames: Buffer[] = [];
  for (let at = 0; at < whole.length; at += size) {
    const type = at === 0 ? FrameType.HEADERS : FrameType.CONTINUATION;
    const isLast = at + size >= whole.length;
    const flags = (isLast ? Flag.END_HEADERS : 0) | (at === 0 && ends ? Flag.END_STREAM : 0);
    frames.push(frameOf(type, flags, id, whole.subarray(at, at + size)));
  }
  return block(...frames);
}
