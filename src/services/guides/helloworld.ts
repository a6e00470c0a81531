import type { Call } from '../../context.ts';
import type { GreeterServiceImplementation } from '../../gen/helloworld.ts';

/** The hello-world greeter of the quick starts. */
export function createHelloworld(): GreeterServiceImplementation<Call> {
  return {
    async sayHello({ name }) {
      return { message: `Hello, ${name}!` };
    },
  };
}
