import type { WebRequest, WebResponse } from '../engine/index.ts';
import { valueOf } from './fields.ts';

/** Which pages may call: none, those of any origin, or those of these. */
export type CorsOrigins = 'off' | '*' | readonly string[];

/** How long a browser may remember an answer, in seconds: Chromium takes no more. */
const maxAge = '7200';
/** Of gRPC-Web and Connect, beside those that a response has. */
const protocolNames = [
  'grpc-status',
  'grpc-message',
  'grpc-status-details-bin',
  'grpc-encoding',
  'connect-content-encoding',
  'content-encoding',
];
const safelisted = new Set(['content-type', 'content-length', 'vary']);

/** Lets pages of other origins call (https://fetch.spec.whatwg.org/#http-cors-protocol). */
export function createCors(origins: CorsOrigins) {
  return { preflight, allow };

  /** The answer to a browser that asks whether a page may call. */
  function preflight(request: WebRequest): WebResponse | undefined {
    const { method, fields } = request;
    if (method !== 'OPTIONS' || origins === 'off') return undefined;
    const asked = valueOf(fields, 'access-control-request-method');
    const own = originFields(request);
    if (asked === undefined || own.length === 0) return undefined;
    const headers = valueOf(fields, 'access-control-request-headers');
    return {
      status: 204,
      fields: [
        ...own,
        'access-control-allow-methods',
        'GET, POST',
        ...(headers === undefined ? [] : ['access-control-allow-headers', headers]),
        'access-control-max-age',
        maxAge,
      ],
    };
  }

  /** The response with what lets its page read it: every custom header that it has, too. */
  function allow(response: WebResponse, request: WebRequest): WebResponse {
    const own = origins === 'off' ? [] : originFields(request);
    if (own.length === 0) return response;
    const names = response.fields.filter((_, at) => at % 2 === 0);
    const exposed = new Set([...protocolNames, ...names].filter((name) => !safelisted.has(name)));
    const expose = ['access-control-expose-headers', [...exposed].join(', ')];
    return { ...response, fields: [...response.fields, ...own, ...expose] };
  }

  function originFields({ fields }: WebRequest): string[] {
    const origin = valueOf(fields, 'origin');
    if (origin === undefined) return [];
    if (origins === '*') return ['access-control-allow-origin', '*'];
    if (!origins.includes(origin)) return [];
    return ['access-control-allow-origin', origin, 'vary', 'origin'];
  }
}
