import { AbortError } from 'abort-controller-x';
import { ServerError } from 'nice-grpc-common';
import { copyWork, cost, type Flow, inTurn } from '../scheduler.ts';
import { type BytesInUse, smallMessage } from './bytes_in_use.ts';
import { decompress, type Encoding, letGo, takeTurnToInflate } from './compression.ts';
import { broken, type RawMessage } from './message_reader.ts';
import { BecomesTooMuch, type MethodCodec } from './methods.ts';

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
  /** Bytes for which there is room. */
  readonly freeBytes: number;
  /** RESOURCE_EXHAUSTED: there is no room for what this one would become. */
  busy(): ServerError;
  readonly inUse: BytesInUse;
  readonly stream: { readonly flow: Flow };
}

/** Gives a message as it is: inflated where it must be, and decoded. Throws or rejects with a ServerError. */
export function decodeMessage({ bytes, compressed }: RawMessage, kind: MessageKind): unknown {
  kind.inUse.take(bytes.length);
  kind.requestCompressed = compressed;
  if (!compressed) return parse(bytes, kind);
  const { encoding } = kind;
  if (!encoding) throw broken('a compressed message without grpc-encoding');
  return inflate(Buffer.from(bytes), { encoding, kind });
}

function inflate(
  bytes: Buffer,
  { encoding, kind }: { encoding: Encoding; kind: MessageKind },
): Promise<unknown> {
  const { inUse, stream } = kind;
  const { flow } = stream;
  flow.spend(cost.coding);
  const inflating = takeTurnToInflate(flow, async () => {
    if (kind.isEnded) throw new AbortError();
    const { maxMessageSize, refusal } = kind;
    if (refusal) throw refusal;
    const most = Math.min(maxMessageSize, bytes.length * mostInflation);
    if (most > kind.freeBytes + ownGrowth) throw kind.busy();
    // Until it is known what it comes to: others are inflated at the same time.
    inUse.take(most);
    const plain = await decompress(bytes, { encoding, maxSize: maxMessageSize });
    inUse.take(plain.length);
    return plain;
  });
  // Others are inflated meanwhile: a connection that has much to do keeps nobody waiting.
  return inflating.then((plain) =>
    inTurn(flow, () => {
      if (kind.isEnded) throw new AbortError();
      inUse.isCopied = false;
      try {
        return parse(plain, kind);
      } finally {
        // Set by what has decoded it.
        if (inUse.isCopied) letGo(plain);
      }
    }),
  );
}

/** DEFLATE makes at most so many bytes of one (258 of two bits). */
const mostInflation = 1032;

/** What any message may become beyond what it was, in bytes: few fields are objects, and strings, too. */
const ownGrowth = 64 * 1024;

/**
 * A string of ASCII with one other character takes twice as much in memory as on the wire; what is more
 * than that for the largest message is of fields that are nearly empty. There must be room for it, too.
 */
function parse(bytes: Buffer, kind: MessageKind): unknown {
  kind.stream.flow.spend(cost.request + copyWork(bytes.length));
  const { inUse, maxMessageSize, method } = kind;
  const bound = 2 * maxMessageSize + ownGrowth;
  inUse.most = bound;
  if (bytes.length >= smallMessage) {
    inUse.most = Math.min(bound, bytes.length + Math.max(0, kind.freeBytes) + ownGrowth);
  }
  try {
    return method.decode(bytes, inUse);
  } catch (cause) {
    if (cause instanceof BecomesTooMuch && inUse.most < bound) throw kind.busy();
    if (cause instanceof ServerError) throw cause;
    throw broken('a message that cannot be decoded', { cause });
  }
}
