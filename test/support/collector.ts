import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { buffer } from 'node:stream/consumers';
import { listenTcp } from './tcp.ts';

/** A span from OTLP in JSON, with its attributes by name. */
export interface SeenSpan {
  name: string;
  kind: number;
  traceId: string;
  spanId: string;
  parentSpanId: string | undefined;
  traceState: string | undefined;
  status: { code: number; message?: string };
  attributes: Record<string, unknown>;
  resource: Record<string, unknown>;
}

/** A batch as it was posted. */
interface Post {
  path: string;
  headers: IncomingMessage['headers'];
  body: Buffer;
}

/** An OpenTelemetry collector for tests. */
export interface Collector extends AsyncDisposable {
  url: string;
  /** All spans of JSON batches so far. */
  spans: SeenSpan[];
  posts: Post[];
}

/** The behaviour of a collector. */
interface CollectorOptions {
  answer?: (response: ServerResponse) => void;
  /** PEM. */
  tls?: { cert: string; key: string };
}

/** Accepts batches on a free port, until the end of the test: use with `await using`. */
export async function startCollector({
  answer = (response) => void response.end('{}'),
  tls,
}: CollectorOptions = {}): Promise<Collector> {
  const spans: SeenSpan[] = [];
  const posts: Post[] = [];
  const listener = (request: IncomingMessage, response: ServerResponse) =>
    void take(request, response);
  const server = tls ? createSecureServer(tls, listener) : createServer(listener);

  async function take(request: IncomingMessage, response: ServerResponse) {
    const body = await buffer(request);
    posts.push({ path: request.url ?? '', headers: request.headers, body });
    if (request.headers['content-type'] === 'application/json') spans.push(...spansIn(body));
    answer(response);
  }

  return {
    url: `${tls ? 'https' : 'http'}://127.0.0.1:${await listenTcp(server)}`,
    spans,
    posts,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

interface Attribute {
  key: string;
  value: Record<string, unknown>;
}

interface Batch {
  resourceSpans: {
    resource: { attributes: Attribute[] };
    scopeSpans: { spans: (Omit<SeenSpan, 'attributes'> & { attributes: Attribute[] })[] }[];
  }[];
}

function spansIn(body: Buffer): SeenSpan[] {
  const { resourceSpans }: Batch = JSON.parse(body.toString());
  return resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans
      .flatMap(({ spans }) => spans)
      .map((span) => ({
        ...span,
        attributes: byName(span.attributes),
        resource: byName(resource.attributes),
      })),
  );
}

function byName(attributes: Attribute[]): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]));
}
