/** Reads the first message of a stream, with its length in four octets before it. */
export async function readSized(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  let bytes = Buffer.alloc(0);
  for await (const chunk of stream) {
    bytes = Buffer.concat([bytes, chunk]);
    const end = bytes.length < 4 ? Infinity : 4 + bytes.readUInt32BE();
    if (bytes.length >= end) return bytes.subarray(4, end);
  }
  throw new Error('Cannot read a message: the stream has ended');
}

/** A message with its length before it. */
export function sized(message: Uint8Array): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(message.length);
  return Buffer.concat([length, message]);
}
