import {
  type DescMessage,
  fromJson,
  type JsonValue,
  type Message,
  type Registry,
} from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';

/** JSON, and how many keys it has. */
interface JsonText {
  text: Uint8Array;
  keys: number;
}

const decoder = new TextDecoder();

/**
 * Decodes a message from JSON that has so many keys. It gives the result of the library, which would spend more time on
 * looking for duplicate keys than on everything else: JSON.parse() drops them, so that the value has fewer.
 */
export function parseJson(
  schema: DescMessage,
  { text, keys }: JsonText,
  registry: Registry,
): Message {
  try {
    const options = { ignoreUnknownFields: true, registry };
    return fromJson(schema, valueOf(schema, { text, keys }), options);
  } catch (error) {
    throw ConnectError.from(error, Code.InvalidArgument);
  }
}

function valueOf({ typeName }: DescMessage, { text, keys }: JsonText): JsonValue {
  const what = `cannot decode message ${typeName} from JSON`;
  let value: JsonValue;
  try {
    value = JSON.parse(decoder.decode(text));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`${what}: ${reason}`, { cause });
  }
  if (countKeys(value) !== keys) throw new Error(`${what}: an object has the same key twice`);
  return value;
}

function countKeys(value: JsonValue): number {
  if (typeof value !== 'object' || value === null) return 0;
  const values = Object.values(value);
  let keys = Array.isArray(value) ? 0 : values.length;
  for (const each of values) keys += countKeys(each);
  return keys;
}
