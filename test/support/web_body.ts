/** The body of a response, in two generators of which only the inner one has started, and the end of that. */
export function createBody() {
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  const inner = parts(resolve);
  void inner.next();
  return { body: outer(inner), ended };
}

async function* outer(inner: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const bytes of inner) yield bytes;
}

async function* parts(onEnd: () => void): AsyncGenerator<Uint8Array> {
  try {
    for (;;) yield new Uint8Array(1);
  } finally {
    onEnd();
  }
}
