import { valueOf, type WebRequest, type WebResponse } from '../engine/index.ts';

/** The origins whose pages may make calls: none, all, or those in the list. */
export type CorsOrigins = 'off' | '*' | readonly string[];

/** How long browsers may cache a preflight, in seconds; this is Chromium's maximum. */
const maxAge = '7200';
/** Fields of gRPC-Web and Connect that are always exposed. */
const protocolNames = [
  'grpc-status',
  'grpc-message',
  'grpc-status-details-bin',
  'grpc-encoding',
  'connect-content-encoding',
  'content-encoding',
];
const safelisted = new Set(['content-type', 'content-length', 'vary']);

/** Lets pages of other origins make calls (https://fetch.spec.whatwg.org/#http-cors-protocol). */
export function createCors(origins: CorsOrigins) {
  return { preflight, allow };

  /** Returns the response to a preflight of an allowed origin. */
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

  /** Adds the fields that let an allowed page read the response, with all of its custom headers. */
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
