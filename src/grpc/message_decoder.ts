import { AbortError } from 'abort-controller-x';
import type { ServerError } from 'nice-grpc-common';
import { decompress, type Encoding } from './compression.ts';
import { broken, type RawMessage } from './message_reader.ts';
import type { MethodCodec } from './methods.ts';

/** What a call's messages are, and how they were compressed. */
export interface MessageKind {
  readonly method: MethodCodec;
  readonly encoding: Encoding | undefined;
  readonly maxMessageSize: number;
  /** Whether nobody waits for them any more. */
  readonly isOver: boolean;
  /** Why there is no room for what they would become, if there is none. */
  readonly refusal: ServerError | undefined;
  /** Told how many bytes the message has that is at hand, in place of the one before. */
  holds(bytes: number): void;
}

/** Gives a message as it is: inflated where it must be, and decoded. Throws or rejects with a ServerError. */
export function decodeMessage({ bytes, compressed }: RawMessage, kind: MessageKind): unknown {
  kind.holds(bytes.length);
  if (!compressed) return parse(bytes, kind.method);
  const { encoding } = kind;
  if (!encoding) throw broken('a compressed message without grpc-encoding');
  return inflate(Buffer.from(bytes), { encoding, kind });
}

/** More at once would be no faster, as Node has four threads; each may take up to `maxMessageSize`. */
const mostInflating = 4;
let inflating = 0;
const waiting: (() => void)[] = [];

async function inflate(
  bytes: Buffer,
  { encoding, kind }: { encoding: Encoding; kind: MessageKind },
): Promise<unknown> {
  if (inflating < mostInflating) inflating++;
  else await new Promise<void>((resolve) => waiting.push(resolve));
  try {
    if (kind.isOver) throw new AbortError();
    const { refusal } = kind;
    if (refusal) throw refusal;
    const plain = await decompress(bytes, { encoding, maxSize: kind.maxMessageSize });
    kind.holds(plain.length);
    return parse(plain, kind.method);
  } finally {
    const next = waiting.shift();
    if (next) next();
    else inflating--;
  }
}

function parse(bytes: Buffer, method: MethodCodec): unknown {
  try {
    return method.decode(bytes);
  } catch (cause) {
    throw broken('a message that cannot be decoded', { cause });
  }
}
