import { AbortError } from 'abort-controller-x';
import { BodyBudget } from '../body_budget.ts';
import { letGo, ownCopy } from '../buffers.ts';
import type { Incident } from '../http2/incident.ts';
import { encodeHeaders } from '../http2/hpack/encoder.ts';
import { connectionSpecific, type RequestHeaders } from '../http2/request_headers.ts';
import type { Stream, StreamEvents } from '../http2/stream.ts';
import { spendInTurn } from '../scheduler.ts';
import type { ServeWeb, WebCallHead, WebRequest, WebResponse } from '../web.ts';
import { discardBody } from '../net/discard_body.ts';
import { webIncident } from '../net/web_incident.ts';
import type { InnerCall, InnerPlace } from './inner_call.ts';

/** The code that serves requests, and opens their calls. */
export interface Loaded {
  serve: ServeWeb;
  open: (place: InnerPlace, head: WebCallHead) => InnerCall;
}

interface WebStreamDeps {
  stream: Stream;
  request: RequestHeaders;
  /** What its calls take from the connection. */
  place: InnerPlace;
  load: () => Promise<Loaded>;
  report: (incident: Incident) => void;
  /** Milliseconds on a monotonic clock. */
  now: () => number;
}

/** Serves an HTTP/2 request that is not a gRPC call, once the code for it is loaded. */
export function serveWebStream(deps: WebStreamDeps): StreamEvents {
  const web = new WebStream(deps);
  void web.serve();
  return web;
}

/** The reason of every abort, as abort() without one creates an exception with a stack. */
const isOver = new AbortError();

/** How long a refused request may continue, in milliseconds. */
const resetTimeoutMs = 1000;

class WebStream implements StreamEvents {
  readonly #stream: Stream;
  readonly #request: RequestHeaders;
  readonly #place: InnerPlace;
  readonly #load: () => Promise<Loaded>;
  readonly #report: (incident: Incident) => void;
  readonly #now: () => number;
  readonly #beganAt: number;
  readonly #budget: BodyBudget;
  readonly #controller = new AbortController();
  readonly #calls = new Set<InnerCall>();
  readonly #chunks: Buffer[] = [];
  #hasEnded = false;
  #isBodyRead = false;
  #isBodyOver = false;
  /** True once a refused request has continued for too long. */
  #isLate = false;
  #onData: (() => void) | undefined;
  #onDrain: (() => void) | undefined;

  constructor({ stream, request, place, load, report, now }: WebStreamDeps) {
    this.#report = report;
    this.#now = now;
    this.#beganAt = now();
    this.#stream = stream;
    this.#request = request;
    this.#place = place;
    this.#load = load;
    this.#budget = new BodyBudget({
      account: stream.account,
      charge: (bytes) => stream.keep(bytes),
      onWait: (isWaiting) => stream.wait(isWaiting),
      onAdmitted: (bytes) => stream.admit(bytes),
      onReleased: () => stream.endAdmission(),
    });
  }

  async serve(): Promise<void> {
    try {
      const loaded = await this.#load();
      if (this.#isOver) return;
      const response = await loaded.serve(this.#asWeb(loaded));
      const incident = webIncident(this.#request, response);
      if (incident) this.#report(incident);
      if (this.#isOver) await discardBody(response);
      else await this.#answer(response);
    } catch (error) {
      if (this.#isOver) return;
      process.emitWarning(error instanceof Error ? error : new Error('Cannot serve a request'));
      this.#stream.respond(encodeHeaders([':status', '500']), { endStream: true });
    }
  }

  get #isOver(): boolean {
    return this.#controller.signal.aborted;
  }

  #asWeb({ open }: Loaded): WebRequest {
    const { method, path, scheme, authority, fields } = this.#request;
    const stream = this.#stream;
    const { signal } = this.#controller;
    const elapsed = () => this.#now() - this.#beganAt;
    return {
      version: '2.0',
      method,
      path,
      scheme,
      authority,
      fields,
      body: this.#body(),
      signal,
      get elapsed() {
        return elapsed();
      },
      owner: stream.account,
      admits: (bytes) => this.#budget.admits(bytes),
      keep: (bytes) => this.#budget.keep(bytes),
      admit: (bytes) => this.#budget.admit(bytes),
      release: () => this.#budget.release(),
      response: {
        keep: (bytes) => stream.keepResponse(bytes),
        beginJob: () => stream.beginJob(),
        endJob: () => stream.endJob(),
      },
      inTurn: (work, task) => spendInTurn(stream.flow, work, task),
      call: (head) => {
        const call = open(this.#place, head);
        this.#calls.add(call);
        if (signal.aborted) call.cancel();
        return call;
      },
    };
  }

  async *#body(): AsyncGenerator<Uint8Array> {
    this.#isBodyRead = true;
    try {
      for (;;) {
        const chunk = this.#chunks.shift();
        if (chunk) {
          this.#stream.consume(chunk.length);
          yield chunk;
        } else if (this.#isOver) throw new AbortError();
        else if (this.#hasEnded) return;
        else await new Promise<void>((resolve) => (this.#onData = resolve));
      }
    } finally {
      this.#isBodyRead = false;
      this.#dropBody();
    }
  }

  /** Drops the rest of the body, which nobody reads, and does not open the window. */
  #dropBody(): void {
    this.#isBodyOver = true;
    for (const chunk of this.#chunks) {
      this.#stream.discard(chunk.length);
      letGo(chunk);
    }
    this.#chunks.length = 0;
  }

  async #answer({ status, fields, body, trailers }: WebResponse): Promise<void> {
    const stream = this.#stream;
    const head = [':status', String(status), ...withoutConnection(fields)];
    stream.respond(encodeHeaders(head));
    // RFC 9110 section 9.3.2.
    const sent = this.#request.method === 'HEAD' ? undefined : body;
    if (!this.#isBodyRead) this.#dropBody();
    if (sent instanceof Uint8Array) stream.write(sent);
    else {
      for await (const chunk of sent ?? []) {
        if (this.#isOver) return;
        if (!stream.write(chunk) && !stream.closed)
          await new Promise<void>((resolve) => (this.#onDrain = resolve));
        if (this.#isOver) return;
      }
    }
    if (this.#calls.size === 0) await this.#requestEnd();
    stream.end(trailers && encodeHeaders(trailers()));
  }

  /**
   * A response without a call stays open until its request ends, so that further protocol errors of the request are
   * still reported to the peer.
   */
  async #requestEnd(): Promise<void> {
    const timer = setTimeout(() => {
      this.#isLate = true;
      this.#wake();
    }, resetTimeoutMs).unref();
    while (!this.#hasEnded && !this.#isOver && !this.#isLate) {
      await new Promise<void>((resolve) => (this.#onData = resolve));
    }
    clearTimeout(timer);
  }

  data(bytes: Buffer): void {
    // Input after the response is not consumed, so the flow-control window bounds it.
    if (this.#isBodyOver) this.#stream.discard(bytes.length);
    else this.#chunks.push(ownCopy(bytes));
    this.#wake();
  }

  end(): void {
    this.#hasEnded = true;
    this.#wake();
  }

  reset(): void {
    this.#leave();
  }

  failed(): void {
    this.#leave();
  }

  expire(): void {
    for (const call of this.#calls) call.expire();
  }

  evicted(): void {
    for (const call of this.#calls) call.evict();
  }

  drain(): void {
    this.#onDrain?.();
    this.#onDrain = undefined;
  }

  sent(): void {
    this.#leave();
  }

  #leave(): void {
    this.#controller.abort(isOver);
    this.#budget.end();
    for (const call of this.#calls) call.cancel();
    this.#calls.clear();
    this.#chunks.length = 0;
    this.#wake();
    this.drain();
  }

  #wake(): void {
    this.#onData?.();
    this.#onData = undefined;
  }
}

function withoutConnection(fields: readonly string[]): string[] {
  return fields.filter((_, at) => !connectionSpecific.has(fields[at - (at % 2)] ?? ''));
}
