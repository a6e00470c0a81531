import type { FileRegistry } from '@bufbuild/protobuf';
import { type ServeWeb, valueOf, type WebRequest, type WebResponse } from '../engine/index.ts';
import { type CorsOrigins, createCors } from './cors.ts';
import { withType } from './fields.ts';
import { createHandlers } from './handlers.ts';
import { createPages } from './pages.ts';
import { notFound, refuse, withText } from './refusals.ts';
import { decodeText, encodeText, isText, withoutText } from './text.ts';

/** Dependencies of createWeb(). */
export interface WebDeps {
  /** Loads the descriptors of the services; called with the first request. */
  descriptors: () => Promise<FileRegistry>;
  /** True if the server accepts new calls. */
  isReady: () => boolean;
  corsOrigins: CorsOrigins;
  /** The maximum request message in bytes, after decompression. */
  maxMessageSize: number;
}

/** Serves Connect, gRPC-Web and JSON. Each request opens a call on the engine, which runs through all middleware. */
export async function createWeb({
  descriptors,
  isReady,
  corsOrigins,
  maxMessageSize,
}: WebDeps): Promise<ServeWeb> {
  const handlers = createHandlers({ registry: await descriptors(), maxMessageSize });
  const pages = createPages({ isReady });
  const cors = createCors(corsOrigins);

  return async (request) => cors.preflight(request) ?? cors.allow(await respond(request), request);

  async function respond(request: WebRequest): Promise<WebResponse> {
    const type = valueOf(request.fields, 'content-type')?.toLowerCase() ?? '';
    const [path = ''] = request.path.split('?', 1);
    const answer = pages.of(request, path) ?? refuse(request, type);
    if (answer) return answer;
    const handle = handlers.of(path);
    if (!handle) return notFound(request, path, type);
    const { fields, body } = request;
    if (!isText(type)) return withText(await handle(request, { fields, body }), request);
    const plain = { fields: withType(fields, withoutText(type)), body: decodeText(body, request) };
    const response = await handle(request, plain);
    const textBody = response.body && encodeText(response.body);
    return { ...response, fields: withType(response.fields, type), body: textBody };
  }
}
