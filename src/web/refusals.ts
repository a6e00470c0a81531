import type { WebRequest, WebResponse } from '../engine/index.ts';
import { valueOf } from './fields.ts';
import { errorOf, metadataOf, statusOf } from './status.ts';

/** Refuses a request whose header shows that it is not a call, with an explanation. */
export function refuse(request: WebRequest, type: string): WebResponse | undefined {
  const { method, version } = request;
  if (method !== 'POST' && method !== 'GET') {
    return words(405, 'Calls are POST requests, or GET for a method without side effects', [
      'allow',
      'POST, GET',
    ]);
  }
  if (method === 'POST' && (type === '' || type.startsWith('application/x-www-form-urlencoded'))) {
    return words(
      415,
      "Cannot tell the format of the body: add -H 'content-type: application/json'",
    );
  }
  if (method === 'POST' && !knownType.test(type)) return wrongType(type);
  const isGrpc = /^application\/grpc(?:$|[+;])/.test(type);
  if (isGrpc && version === '1.1') {
    return words(505, 'gRPC needs HTTP/2; over HTTP/1.1, use Connect, gRPC-Web or JSON', [
      'connection',
      'close',
    ]);
  }
  return undefined;
}

/** The content types of any method. */
const knownType =
  /^application\/(?:(?:connect\+)?(?:json|proto)|grpc(?:-web(?:-text)?)?(?:\+(?:json|proto))?) *(?:;|$)/;

function wrongType(type: string): WebResponse {
  return words(
    415,
    `Cannot accept "${type.slice(0, 100)}" for this method: use application/json or application/proto for unary methods, application/connect+json or application/connect+proto for streams`,
  );
}

/** Adds an explanation to a response of the library that has none. */
export function withWords(response: WebResponse, { fields, method }: WebRequest): WebResponse {
  if (response.body !== undefined) return response;
  if (response.status === 415) {
    const type = valueOf(fields, 'content-type') ?? '';
    const { status, fields: own, body } = wrongType(type);
    return { status, fields: [...response.fields, ...own], body };
  }
  if (response.status === 405)
    return words(405, `Cannot call this method with ${method}: use POST`);
  return response;
}

/** Calls an unknown path on the engine, for the same error message as over gRPC. */
export async function notFound(
  request: WebRequest,
  path: string,
  type: string,
): Promise<WebResponse> {
  const isGrpc = type.startsWith('application/grpc');
  const isGrpcWeb = type.startsWith('application/grpc-web');
  const protocol = isGrpcWeb ? 'grpc-web' : isGrpc ? 'grpc' : 'connect';
  const call = request.call({ path, protocol, fields: metadataOf(request.fields) });
  call.end();
  while (await call.next());
  if (isGrpc) return { status: 200, fields: ['content-type', type, ...statusOf(call.trailer)] };
  const { rawMessage: message = '' } = errorOf(call.trailer) ?? {};
  const body = Buffer.from(JSON.stringify({ code: 'unimplemented', message }));
  return { status: 404, fields: ['content-type', 'application/json'], body };
}

function words(status: number, text: string, fields: readonly string[] = []): WebResponse {
  const body = Buffer.from(`${text}\n`);
  const own = ['content-type', 'text/plain; charset=utf-8', 'content-length', String(body.length)];
  return { status, fields: [...own, ...fields], body };
}
