import type { EchoServiceImplementation } from '../../test/echo/gen/echo.ts';

const unused = () => Promise.reject(new Error('nobody calls it'));

/** The echo service of all peers. The text is the number of replies in a stream. */
export const service: EchoServiceImplementation = {
  unary: async ({ text }) => ({ text }),
  async *serverStream({ text }) {
    const count = Number(text);
    for (let i = 0; i < count; i++) yield { text };
  },
  clientStream: unused,
  async *bidi() {},
};
