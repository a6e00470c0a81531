import type { Call } from '../../src/context.ts';
import { service } from '../../src/services/service.ts';
import {
  EchoDefinition,
  type EchoRequest,
  type EchoServiceImplementation,
  PingDefinition,
  type PingServiceImplementation,
  ScriptDefinition,
} from './gen/echo.ts';
import { createScript } from './script.ts';

/** Overrides of methods for a test. */
export type EchoMethods = Partial<EchoServiceImplementation<Call>>;

/** The services of echo.proto, with the overrides of `changed`. */
export function echoServices(changed: EchoMethods = {}) {
  return [
    service({
      definition: EchoDefinition,
      implementation: () => ({ ...createEcho(), ...changed }),
    }),
    service({ definition: PingDefinition, implementation: createPing }),
    service({ definition: ScriptDefinition, implementation: createScript }),
  ];
}

function createEcho(): EchoServiceImplementation<Call> {
  return {
    async unary({ text }) {
      return { text };
    },

    async *serverStream({ text }) {
      for (const i of [1, 2, 3]) yield { text: `${text} ${i}` };
    },

    async clientStream(requests, { retain }) {
      const collected: EchoRequest[] = [];
      let size = 0;
      for await (const request of requests) {
        collected.push(request);
        size += request.text.length + messageCost;
        retain?.(size);
      }
      return { requests: collected };
    },

    async *bidi(requests) {
      for await (const { text } of requests) yield { text };
    },
  };
}

/** The memory of a request beside its text, in bytes. */
const messageCost = 64;

function createPing(): PingServiceImplementation<Call> {
  return {
    async ping({ text }) {
      return { text };
    },
  };
}
