import { AbortError } from 'abort-controller-x';
import { ServerError } from 'nice-grpc-common';
import type { BytesInUse } from './bytes_in_use.ts';
import { decompress, type Encoding, takeTurn } from './compression.ts';
import { broken, type RawMessage } from './message_reader.ts';
import type { MethodCodec } from './methods.ts';

/** What a call's messages are, and how they were compressed. */
export interface MessageKind {
  readonly method: MethodCodec;
  readonly encoding: Encoding | undefined;
  readonly maxMessageSize: number;
  /** Set with each message. */
  requestCompressed: boolean;
  /** Whether nobody waits for them any more. */
  readonly isEnded: boolean;
  /** Why there is no room for what they would become, if there is none. */
  readonly refusal: ServerError | undefined;
  readonly inUse: BytesInUse;
}

/** Gives a message as it is: inflated where it must be, and decoded. Throws or rejects with a ServerError. */
export function decodeMessage({ bytes, compressed }: RawMessage, kind: MessageKind): unknown {
  kind.inUse.take(bytes.length);
  kind.requestCompressed = compressed;
  if (!compressed) return parse(bytes, kind.method);
  const { encoding } = kind;
  if (!encoding) throw broken('a compressed message without grpc-encoding');
  return inflate(Buffer.from(bytes), { encoding, kind });
}

function inflate(
  bytes: Buffer,
  { encoding, kind }: { encoding: Encoding; kind: MessageKind },
): Promise<unknown> {
  return takeTurn(async () => {
    if (kind.isEnded) throw new AbortError();
    const { refusal } = kind;
    if (refusal) throw refusal;
    const plain = await decompress(bytes, { encoding, maxSize: kind.maxMessageSize });
    kind.inUse.take(plain.length);
    return parse(plain, kind.method);
  });
}

function parse(bytes: Buffer, method: MethodCodec): unknown {
  try {
    return method.decode(bytes);
  } catch (cause) {
    if (cause instanceof ServerError) throw cause;
    throw broken('a message that cannot be decoded', { cause });
  }
}
