import type { EchoServiceImplementation } from '../../test/echo/gen/echo.ts';

const unused = () => Promise.reject(new Error('nobody calls it'));

/** The echo service as every peer has it: as many replies in a stream as the text says. */
export const service: EchoServiceImplementation = {
  unary: async ({ text }) => ({ text }),
  async *serverStream({ text }) {
    const count = Number(text);
    for (let i = 0; i < count; i++) yield { text };
  },
  clientStream: unused,
  async *bidi() {},
};
