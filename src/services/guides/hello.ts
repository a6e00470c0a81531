import type { Call } from '../../context.ts';
import type { HelloServiceImplementation } from '../../gen/hello.ts';

/** The hello guide's service: says hello to a value. */
export function createHello(): HelloServiceImplementation<Call> {
  return {
    async hello({ value }) {
      return { value: `Hello ${value}` };
    },
  };
}
