import type { Call } from '../../context.ts';
import type { SampleServiceImplementation } from '../../gen/sample.ts';

/** The sample guide's service: replies to a message. */
export function createSample(): SampleServiceImplementation<Call> {
  return {
    async call({ message }) {
      return { reply: `reply for ${message}` };
    },
  };
}
