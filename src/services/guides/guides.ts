import { GreeterDefinition as GreetDefinition } from '../../gen/greet.ts';
import { HelloDefinition } from '../../gen/hello.ts';
import { GreeterDefinition as HelloworldDefinition } from '../../gen/helloworld.ts';
import { SampleServiceDefinition } from '../../gen/sample.ts';
import { UnaryDefinition } from '../../gen/unary.ts';
import { service } from '../service.ts';
import { createGreet } from './greet.ts';
import { createHello } from './hello.ts';
import { createHelloworld } from './helloworld.ts';
import { createSample } from './sample.ts';
import { createUnary } from './unary.ts';

/** The services of the five guides, which docs/copy.md deletes. */
export const guides = [
  service({ definition: UnaryDefinition, implementation: createUnary }),
  service({ definition: HelloDefinition, implementation: createHello }),
  service({ definition: SampleServiceDefinition, implementation: createSample }),
  service({ definition: HelloworldDefinition, implementation: createHelloworld }),
  service({ definition: GreetDefinition, implementation: createGreet }),
];
