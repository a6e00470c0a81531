import type { Call } from '../../context.ts';
import type { UnaryServiceImplementation } from '../../gen/unary.ts';

/** The unary guide's service: confirms each message. */
export function createUnary(): UnaryServiceImplementation<Call> {
  return {
    async getServerResponse({ message }) {
      return {
        message: `Hello I am up and running received "${message}" message from you`,
        received: true,
      };
    },
  };
}
