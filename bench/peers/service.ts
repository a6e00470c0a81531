import type { GreeterServiceImplementation as Greet } from '../../src/gen/greet.ts';

const unused = () => Promise.reject(new Error('nobody calls it'));

/** The greet service as every peer has it: as many replies in a stream as the name says. */
export const service: Greet = {
  sayHello: async ({ greeting, name }) => ({ message: `${greeting} ${name}!` }),
  async *parrotSayHello({ greeting, name }) {
    const count = Number(name);
    for (let i = 0; i < count; i++) yield { message: greeting };
  },
  async *parrotSaysHello() {},
  chattyClientSayHello: unused,
  chattyClientSaysHello: unused,
  async *interactiveSayHello() {},
  async *interactingHello() {},
};
