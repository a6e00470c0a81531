import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { getDefaultHighWaterMark } from 'node:stream';
import { AbortError } from 'abort-controller-x';
import type { Limited } from '../account.ts';
import { BodyBudget } from '../body_budget.ts';
import { type Category, Held } from '../held.ts';
import type { Incident } from '../http2/incident.ts';
import { valueOf } from '../http2/request_headers.ts';
import { freeLarge, letGo } from '../buffers.ts';
import { cost, spendInTurn } from '../scheduler.ts';
import type { ServeWeb, WebCall, WebRequest, WebResponse } from '../web.ts';
import { ResponseBudget } from './response_budget.ts';
import { lingerMs } from './connection_times.ts';
import { setHighWaterMark } from './socket_buffers.ts';
import type { Http1Deps } from './connections.ts';
import { bodyOf, discard, dropped, freeUnread, isRead } from './http1_body.ts';
import type { ConnectionParts, OtherConnection } from './socket.ts';
import { discardBody } from './discard_body.ts';
import { webIncident } from './web_incident.ts';

/** A call that its connection can end. */
interface OpenWebCall extends WebCall {
  readonly stream: { readonly isCall: boolean; readonly heldBytes: number };
  /** The connection is closed within a second: the call must end now. */
  expire(): void;
  /** The call must end at once, to make room for others. */
  evict(): void;
}

/** Opens a call for a request. */
type OpenWebCallOn = (
  head: Parameters<WebRequest['call']>[0],
  place: ConnectionParts & { socket: Socket; authority: string; scheme: string },
) => OpenWebCall;

interface Http1ServerDeps extends Http1Deps {
  serve: ServeWeb;
  open: OpenWebCallOn;
}

/** The HTTP/1.1 connections of a server, which node:http parses. */
export interface Http1Server {
  /** Takes over a paused socket, which has all bytes received so far. */
  attach(socket: Socket, parts: ConnectionParts): OtherConnection;
}

const isOver = new AbortError();
/** The maximum of a response body, in bytes, that is written as a string. */
const maxInString = 4096;

/** The memory of a request beside its header list, in bytes, including that of node:http. */
const requestCost = 8 * 1024;
/** The maximum number of pipelined requests; no ordinary client sends more. */
const maxPipelined = 8;

/**
 * Creates a server that does not listen. Node enforces no timeouts on such a server, so each connection enforces its
 * own in tick().
 */
export function createHttp1Server(deps: Http1ServerDeps): Http1Server {
  const connections = new WeakMap<Socket, Http1Connection>();
  const onRequest = (request: IncomingMessage, response: ServerResponse) =>
    connections.get(request.socket)?.onRequest(request, response);
  const server = createServer(
    {
      maxHeaderSize: deps.limits.maxHeaderListSize,
      keepAliveTimeout: 0,
      // Node would answer it beside the connection.
      requireHostHeader: false,
    },
    onRequest,
  );
  // An unknown expectation may be ignored (RFC 9110 section 10.1.1). Node would answer it beside the connection, too.
  server.on('checkExpectation', onRequest);
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    connections.get(socket)?.onError(error);
  });

  return {
    attach(socket, parts) {
      const connection = new Http1Connection(socket, parts, deps);
      connections.set(socket, connection);
      begin(server, socket);
      return connection;
    },
  };
}

function begin(server: Server, socket: Socket): void {
  // With less, node:http would keep several times as much of each body.
  setHighWaterMark(socket, getDefaultHighWaterMark(false));
  // The parser copies what it passes on. A listener that is added later would make it read by events only.
  socket.once('data', (chunk: Buffer) => process.nextTick(letGo, chunk));
  server.emit('connection', socket);
  socket.resume();
}

/** A request and its response. */
interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly controller: AbortController;
  readonly calls: Set<OpenWebCall>;
  readonly headerBytes: number;
  readonly body: BodyBudget;
  readonly answer: ResponseBudget;
  readonly beganAt: number;
}

/** An HTTP/1.1 connection, which serves one request after the other. */
class Http1Connection implements OtherConnection {
  readonly hasAnswered = true;
  readonly #socket: Socket;
  readonly #parts: ConnectionParts;
  readonly #deps: Http1ServerDeps;
  readonly #oldAt: number;
  #current: Exchange | undefined;
  readonly #waiting: [IncomingMessage, ServerResponse][] = [];
  #isLeaving = false;
  /** True while the rest of a request is dropped. */
  #isLingering = false;
  #isOver = false;
  #output = 0;
  /** The time of the last complete response, and the bytes read by then. */
  #idleSince: number;
  #readBefore = 0;
  /** The time when the first byte of the next request was seen. */
  #beganAt: number;
  /** The bytes moved in both directions, and the time and turn when they last changed. */
  #moved = 0;
  #movedAt: number;
  #progressedAt: number;
  #cutAt = Number.POSITIVE_INFINITY;

  constructor(socket: Socket, parts: ConnectionParts, deps: Http1ServerDeps) {
    this.#socket = socket;
    this.#parts = parts;
    this.#deps = deps;
    const now = deps.now();
    this.#oldAt = now + deps.times.age * (1 + deps.random() / 10);
    this.#idleSince = now;
    this.#beganAt = now;
    this.#movedAt = now;
    this.#progressedAt = parts.flow.turn;
  }

  get openStreams(): number {
    return (this.#current ? 1 : 0) + this.#waiting.length;
  }

  get isIdle(): boolean {
    return this.openStreams === 0 && this.#socket.writableLength === 0;
  }

  get usedAgo(): number {
    return this.#current ? 0 : this.#deps.now() - this.#idleSince;
  }

  /** Called when Node has parsed the header of a request. */
  onRequest(request: IncomingMessage, response: ServerResponse): void {
    if (this.#waiting.length >= maxPipelined) {
      const message = `Cannot accept more than ${maxPipelined} pipelined requests`;
      return this.#drop({ reason: 'http_pipelining', message });
    }
    this.#parts.account.charge(Held.calls, requestCost);
    if (this.#current) this.#waiting.push([request, response]);
    else this.#begin(request, response);
  }

  /** Called when Node cannot parse the input. */
  onError({ code }: NodeJS.ErrnoException): void {
    const socket = this.#socket;
    const isMidway = this.#current?.response.headersSent ?? false;
    if (socket.destroyed || !socket.writable || isMidway) return void socket.destroy();
    const isLarge = code === 'HPE_HEADER_OVERFLOW';
    const { maxHeaderListSize } = this.#deps.limits;
    const text = isLarge
      ? `Cannot accept header fields of more than ${maxHeaderListSize} bytes\n`
      : 'Cannot parse this as HTTP/1.1\n';
    const reason = isLarge ? 'http_431' : 'http_400';
    this.#parts.report({ reason, message: text.trim() });
    this.#refuse(isLarge ? '431 Request Header Fields Too Large' : '400 Bad Request', text);
  }

  shutdown(): void {
    this.#isLeaving = true;
    if (this.openStreams === 0) this.#socket.destroySoon();
  }

  evictFor(incident: Incident): void {
    this.#drop(incident);
  }

  destroy(): void {
    this.#socket.destroy();
  }

  tick(): void {
    const { times, now: clock } = this.#deps;
    const socket = this.#socket;
    const now = clock();
    this.#countOutput();
    const moved = socket.bytesRead + socket.bytesWritten - socket.writableLength;
    if (moved !== this.#moved) this.#progress(moved, now);
    if (now >= this.#oldAt && this.#cutAt === Number.POSITIVE_INFINITY) {
      this.#cutAt = now + times.ageGrace;
      this.shutdown();
    }
    if (now >= this.#cutAt + lingerMs) return void socket.destroy();
    if (now >= this.#cutAt) for (const call of this.#current?.calls ?? []) call.expire();
    const exchange = this.#current;
    if (!exchange) return this.#isLingering ? undefined : this.#tickIdle(now);
    const isReading = !exchange.request.complete && !exchange.body.isWaiting;
    const waitsForPeer = isReading || socket.writableLength > 0;
    if (waitsForPeer && now - this.#movedAt >= times.keepalive + times.keepaliveTimeout) {
      const message = 'Cannot wait longer: the peer neither sends nor reads';
      this.#drop({ reason: 'keepalive_timeout', message });
    }
  }

  #tickIdle(now: number): void {
    const { times } = this.#deps;
    if (this.#socket.bytesRead === this.#readBefore) {
      this.#beganAt = now;
      if (now - this.#idleSince >= times.idle) this.shutdown();
    } else if (now - this.#beganAt >= times.preface) {
      this.#refuse('408 Request Timeout', 'Cannot wait longer for the header of a request\n');
    }
  }

  #progress(moved: number, now: number): void {
    this.#moved = moved;
    this.#movedAt = now;
    this.#progressedAt = this.#parts.flow.turn;
  }

  close(done: () => void): void {
    this.#isOver = true;
    this.#charge(Held.output, -this.#output);
    this.#output = 0;
    this.#charge(Held.calls, -requestCost * this.#waiting.length);
    for (const [request] of this.#waiting) freeUnread(request);
    this.#waiting.length = 0;
    if (this.#current) this.#end(this.#current);
    done();
  }

  evict(limited: keyof Limited, since: number): number {
    const exchange = this.#current;
    if (!exchange) return 0;
    const [call] = exchange.calls;
    if (limited === 'calls') {
      if (!call?.stream.isCall) return 0;
      call.evict();
      return 1;
    }
    if (limited === 'streams') {
      this.#giveUp();
      return 1;
    }
    return this.#progressedAt <= since ? this.#giveUp() : 0;
  }

  evictStalled(since: number): number {
    const isStalled = this.#current?.body.isWaiting === false && this.#progressedAt <= since;
    return isStalled ? this.#giveUp() : 0;
  }

  /** Closes the connection and returns the number of bytes freed. */
  #giveUp(): number {
    const { bytes } = this.#parts.account;
    this.#drop({
      reason: 'goaway_enhance_your_calm',
      message: 'Cannot hold so much for one peer',
    });
    if (this.#current) this.#end(this.#current);
    return bytes;
  }

  #begin(request: IncomingMessage, response: ServerResponse): void {
    const { account, flow, onIdle } = this.#parts;
    let headerBytes = 0;
    for (const text of request.rawHeaders) headerBytes += 2 * text.length;
    const exchange: Exchange = {
      request,
      response,
      controller: new AbortController(),
      calls: new Set(),
      headerBytes,
      body: this.#budget(),
      answer: new ResponseBudget(account),
      beganAt: this.#deps.now(),
    };
    this.#current = exchange;
    account.count('streams', 1);
    account.charge(Held.headers, headerBytes);
    flow.spend(cost.stream);
    onIdle(false);
    response.once('close', () => this.#onResponseClosed(exchange));
    const serve = () => void this.#serve(exchange);
    if (flow.isSpent) flow.wait(serve);
    else serve();
  }

  #budget(): BodyBudget {
    const { account } = this.#parts;
    let charged = 0;
    return new BodyBudget({
      account,
      charge: (bytes) => {
        this.#charge(Held.bodies, bytes - charged);
        charged = bytes;
      },
      onAdmitted: () => account.admit(1),
      onReleased: () => account.admit(-1),
    });
  }

  async #serve(exchange: Exchange): Promise<void> {
    const { response, controller } = exchange;
    // It may have left before its turn.
    if (controller.signal.aborted) return;
    try {
      const request = this.#requestOf(exchange);
      const answer = await (isHostless(exchange.request) ? noHost : this.#deps.serve(request));
      const incident = webIncident(request, answer);
      if (incident) this.#parts.report(incident);
      if (controller.signal.aborted) await discardBody(answer);
      else await this.#answer(exchange, answer);
    } catch (error) {
      if (controller.signal.aborted || response.destroyed) return;
      process.emitWarning(error instanceof Error ? error : new Error('Cannot serve a request'));
      if (response.headersSent) this.#socket.destroy();
      else response.writeHead(500, { 'content-type': 'text/plain' }).end('Internal error\n');
    }
  }

  async #answer({ request, response }: Exchange, answer: WebResponse): Promise<void> {
    const { status, fields, body, trailers } = answer;
    const isLast = this.#isLeaving;
    // After the response, Node would drop the rest of a body that nobody reads, and not free it.
    if (!request.complete && !isRead(request)) discard(request);
    response.writeHead(status, isLast ? [...fields, 'connection', 'close'] : [...fields]);
    if (body instanceof Uint8Array) response.once('close', () => freeLarge(body));
    const closes = isLast || !response.shouldKeepAlive || valueOf(fields, 'connection') === 'close';
    const mustWait = closes && !request.complete;
    if (body instanceof Uint8Array && !mustWait) end(response, body);
    else {
      for await (const chunk of body instanceof Uint8Array ? [body] : (body ?? [])) {
        const goOn = response.write(chunk);
        this.#countOutput();
        if (!goOn && !response.destroyed) await drained(response);
        // Sent, or never to be sent.
        if (!goOn || response.destroyed) freeLarge(chunk);
        if (response.destroyed) return;
        if (goOn && this.#parts.flow.isSpent) await this.#turn();
      }
      if (trailers) response.addTrailers(pairsOf(trailers()));
      if (mustWait) {
        response.flushHeaders();
        await dropped(request);
      }
      response.end();
    }
    this.#countOutput();
  }

  #requestOf(exchange: Exchange): WebRequest {
    const { request, controller, calls, body, answer, beganAt } = exchange;
    const parts = this.#parts;
    const socket = this.#socket;
    const authority = request.headers.host ?? '';
    const scheme = 'encrypted' in socket ? 'https' : 'http';
    const { open, now } = this.#deps;
    const fields = request.rawHeaders.map((text, at) => (at % 2 === 0 ? text.toLowerCase() : text));
    return {
      version: '1.1',
      method: request.method ?? '',
      path: request.url ?? '',
      scheme,
      authority,
      fields,
      body: bodyOf(request, { flow: parts.flow, signal: controller.signal }),
      signal: controller.signal,
      get elapsed() {
        return now() - beganAt;
      },
      owner: parts.account,
      admits: (bytes) => body.admits(bytes),
      keep: (bytes) => body.keep(bytes),
      admit: (bytes) => body.admit(bytes),
      release: () => body.release(),
      response: answer,
      inTurn: (work, task) => spendInTurn(parts.flow, work, task),
      call(head) {
        const call = open(head, { ...parts, socket, authority, scheme });
        calls.add(call);
        if (controller.signal.aborted) call.cancel();
        return call;
      },
    };
  }

  #turn(): Promise<void> {
    return new Promise((resolve) => this.#parts.flow.wait(resolve));
  }

  #onResponseClosed(exchange: Exchange): void {
    const { request, response } = exchange;
    if (this.#current !== exchange) return;
    const isWhole = response.writableFinished;
    this.#end(exchange);
    if (this.#isOver) return;
    if (!isWhole) return this.#socket.destroySoon();
    if (!request.complete) return this.#linger(request);
    // Node does not read the next request before the end of this one.
    if (request.readableLength > 0) discard(request);
    this.#goOn();
  }

  /** Drops the rest of a request that has its response, for a while: a TCP RST could overtake the response. */
  #linger(request: IncomingMessage): void {
    const timer = setTimeout(() => this.#socket.destroy(), lingerMs).unref();
    this.#isLingering = true;
    request.once('end', () => {
      this.#isLingering = false;
      clearTimeout(timer);
      this.#goOn();
    });
    discard(request);
  }

  /** Serves the next request, if there is one; one that follows a dropped rest may have begun. */
  #goOn(): void {
    if (this.#isOver || this.#current) return;
    const next = this.#waiting.shift();
    if (next) return this.#begin(...next);
    this.#idleSince = this.#deps.now();
    this.#beganAt = this.#idleSince;
    this.#readBefore = this.#socket.bytesRead;
    this.#parts.onIdle(true);
    if (this.#isLeaving) this.#socket.destroySoon();
  }

  /** Releases all charges of an exchange, and cancels its calls. */
  #end(exchange: Exchange): void {
    exchange.body.end();
    exchange.answer.end();
    if (this.#isOver) freeUnread(exchange.request);
    this.#current = undefined;
    this.#charge(Held.headers, -exchange.headerBytes);
    this.#charge(Held.calls, -requestCost);
    this.#parts.account.count('streams', -1);
    // Without a reason, abort() creates an exception with a stack.
    exchange.controller.abort(isOver);
    for (const call of exchange.calls) call.cancel();
  }

  #countOutput(): void {
    if (this.#isOver) return;
    // Chunks are with the response until the next turn; it counts them with those of its socket.
    const ofResponse = this.#current?.response.writableLength ?? 0;
    const length = Math.max(ofResponse, this.#socket.writableLength);
    this.#charge(Held.output, length - this.#output);
    this.#output = length;
  }

  #charge(category: Category, bytes: number): void {
    if (bytes !== 0) this.#parts.account.charge(category, bytes);
  }

  #drop(incident: Incident): void {
    this.#parts.report(incident);
    this.#socket.destroy();
  }

  #refuse(status: string, text: string): void {
    const head = `HTTP/1.1 ${status}\r\nContent-Type: text/plain\r\nContent-Length: ${text.length}\r\nConnection: close\r\n\r\n`;
    this.#socket.end(head + text);
    // A TCP RST could overtake the response.
    setTimeout(() => this.#socket.destroy(), lingerMs).unref();
  }
}

/** True for a request that must be refused (RFC 9112 section 3.2). */
function isHostless({ httpVersion, headers }: IncomingMessage): boolean {
  return httpVersion === '1.1' && headers.host === undefined;
}

const noHostText = Buffer.from('Cannot accept a request without a host\n');
const noHost: WebResponse = {
  status: 400,
  fields: [
    'content-type',
    'text/plain',
    'content-length',
    String(noHostText.length),
    'connection',
    'close',
  ],
  body: noHostText,
};

/** Writes a small body in one string with the header, which takes half the time of two parts. */
function end(response: ServerResponse, body: Uint8Array): void {
  if (body.length > maxInString) response.end(body);
  else
    response.end(
      Buffer.from(body.buffer, body.byteOffset, body.length).toString('latin1'),
      'latin1',
    );
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const go = () => {
      response.off('drain', go).off('close', go);
      resolve();
    };
    response.once('drain', go).once('close', go);
  });
}

function pairsOf(fields: readonly string[]): [string, string][] {
  const pairs: [string, string][] = [];
  for (let at = 0; at < fields.length; at += 2)
    pairs.push([fields[at] ?? '', fields[at + 1] ?? '']);
  return pairs;
}
