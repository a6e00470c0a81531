import type { FileRegistry } from '@bufbuild/protobuf';
import type { ServeWeb } from '../engine/index.ts';
import { createHandlers } from './handlers.ts';
import { valueOf, withType } from './fields.ts';
import { notFound, refuse, withWords } from './refusals.ts';
import { decodeText, encodeText, isText, withoutText } from './text.ts';

interface WebDeps {
  /** What the services are declared by; asked for by the first request. */
  registry: () => FileRegistry;
  /** The largest request message, in bytes, after decompression. */
  maxMessageSize: number;
}

/** Serves Connect, gRPC-Web and JSON: each call goes to the engine's own, through its whole chain. */
export function createWeb({ registry, maxMessageSize }: WebDeps): ServeWeb {
  const handlers = createHandlers({ registry: registry(), maxMessageSize });

  return async (request) => {
    const type = valueOf(request.fields, 'content-type')?.toLowerCase() ?? '';
    const refusal = refuse(request, type);
    if (refusal) return refusal;
    const [path = ''] = request.path.split('?', 1);
    const handle = handlers.of(path) ?? ((unknown) => notFound(unknown, path, type));
    const { fields, body } = request;
    if (!isText(type)) return withWords(await handle(request, { fields, body }), request);
    const plain = { fields: withType(fields, withoutText(type)), body: decodeText(body) };
    const response = await handle(request, plain);
    const textBody = response.body && encodeText(response.body);
    return { ...response, fields: withType(response.fields, type), body: textBody };
  };
}
