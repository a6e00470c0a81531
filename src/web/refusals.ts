import { valueOf, type WebRequest, type WebResponse } from '../engine/index.ts';
import { errorOf, metadataOf, statusOf } from './status.ts';
import { textResponse } from './text_response.ts';

/** Refuses a request whose header shows that it is not a call, with an explanation. */
export function refuse(request: WebRequest, type: string): WebResponse | undefined {
  const { method, version } = request;
  if (method !== 'POST' && method !== 'GET') {
    return textResponse(405, 'Calls are POST requests, or GET for a method without side effects', [
      'allow',
      'POST, GET',
    ]);
  }
  if (method === 'POST' && (type === '' || type.startsWith('application/x-www-form-urlencoded'))) {
    return textResponse(
      415,
      "Cannot tell the format of the body: add -H 'content-type: application/json'",
    );
  }
  if (method === 'POST' && !knownType.test(type)) return wrongType(type);
  const isGrpc = /^application\/grpc(?:$|[+;])/.test(type);
  if (isGrpc && version === '1.1') {
    return textResponse(505, 'gRPC needs HTTP/2; over HTTP/1.1, use Connect, gRPC-Web or JSON', [
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
  return textResponse(
    415,
    `Cannot accept "${type.slice(0, 100)}" for this method: use application/json or application/proto for unary methods, application/connect+json or application/connect+proto for streams`,
  );
}

/** Adds an explanation to a response of the library that has none. */
export function withText(response: WebResponse, { fields, method }: WebRequest): WebResponse {
  if (response.body !== undefined) return response;
  if (response.status === 415) {
    const type = valueOf(fields, 'content-type') ?? '';
    const { status, fields: own, body } = wrongType(type);
    return { status, fields: [...response.fields, ...own], body };
  }
  if (response.status === 405)
    return textResponse(405, `Cannot call this method with ${method}: use POST`);
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
