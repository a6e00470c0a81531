import type { Call } from '../context.ts';
import type { ServerReflectionServiceImplementation } from '../gen/grpc/reflection/v1/reflection.ts';
import type { AnswerQuestion } from './reflection_answers.ts';

interface ReflectionDeps {
  /** The full names of all services. */
  serviceNames: readonly string[];
}

/**
 * grpc.reflection.v1.ServerReflection, and v1alpha, which has the same messages
 * (https://grpc.io/docs/guides/reflection/). Its answers are loaded with the first request.
 */
export function createReflection({
  serviceNames,
}: ReflectionDeps): ServerReflectionServiceImplementation<Call> {
  let loading: Promise<AnswerQuestion> | undefined;

  return {
    async *serverReflectionInfo(requests) {
      const answer = await (loading ??= load());
      for await (const request of requests) yield answer(request);
    },
  };

  async function load(): Promise<AnswerQuestion> {
    const { createAnswers } = await import('./reflection_answers.ts');
    return createAnswers(serviceNames);
  }
}
