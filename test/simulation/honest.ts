import { ErrorCode } from '../../src/engine/http2/errors.ts';
import { defaultMaxFrameSize, Flag, FrameType, preface } from '../../src/engine/http2/frames.ts';
import { data, grow, set } from '../differential/frames.ts';
import { block } from '../hpack/blocks.ts';
import { frameOf } from '../support/http2_peer.ts';
import { frame, unframe } from '../support/raw_client.ts';
import { requestHeaders } from './requests.ts';
import { paths } from './service.ts';
import type { StreamView } from './view.ts';
import type { Link, World } from './world.ts';

/**
 * The maximum turns for a message to be answered, and for a call to end: there are few peers, so each has quota in
 * every turn, and a message takes little of it.
 */
const maxTurns = 12;

/** A message of so many bytes fits into any fair share, so it is never refused. */
const smallMessage = 4096;

interface Call {
  readonly name: string;
  readonly link: Link;
  readonly id: number;
  readonly stream: StreamView;
  /** Messages still to be sent, each of at most so many bytes. */
  count: number;
  readonly size: number;
  /** Messages that were sent, in the order in which they should be echoed. */
  readonly sent: Buffer[];
  /** Unsent bytes, for lack of a window, and whether the end is sent. */
  left: Buffer;
  hasEnded: boolean;
  /** Turns since the last message. */
  turns: number;
  /** Bytes of DATA received, for which the window was opened again. */
  heard: number;
}

/** An honest client on its own connection: its calls complete, whatever others do. */
export class Honest {
  readonly #world: World;
  #link: Link;
  #nextId = 1;
  #calls: Call[] = [];
  /** The last turn in which a large message was in progress. */
  #largeAt = Number.NEGATIVE_INFINITY;
  finished = 0;
  /** Calls that the server has refused, which it may above its limit. */
  refused = 0;
  /** The maximum turns of a message. */
  maxTurns = 0;

  constructor(world: World) {
    this.#world = world;
    this.#link = this.#dial();
  }

  get openCalls(): number {
    return this.#calls.length;
  }

  /** Starts a call of `count` messages of at most `size` bytes, each sent after the response to the previous one. */
  call(count: number, size: number): void {
    if (this.#calls.length >= 10) return;
    // After GOAWAY, a client reconnects (RFC 9113 section 6.8).
    if (this.#link.view.goAway || this.#link.wire.destroyed) this.#link = this.#dial();
    const link = this.#link;
    const id = this.#nextId;
    this.#nextId += 2;
    const name = `${link.name}.${id}`;
    link.send(requestHeaders(id, { path: count === 1 ? paths.echo : paths.pingPong, name }));
    const stream = link.view.streams.get(id);
    if (!stream) throw new Error(`stream ${id} was not opened`);
    const begun = { sent: [], left: Buffer.alloc(0), hasEnded: false, turns: 0, heard: 0 };
    this.#calls.push({ name, link, id, stream, count, size, ...begun });
  }

  /** Sends what can be sent; returns false if there is nothing. */
  react(): boolean {
    const links = new Set([this.#link, ...this.#calls.map(({ link }) => link)]);
    let hasSaid = false;
    const hasLarge = this.#calls.some(({ size }) => size > smallMessage);
    if (hasLarge) this.#largeAt = this.#world.turns.scheduler.turn;
    for (const link of links) if (this.#answer(link)) hasSaid = true;
    for (const call of this.#calls) if (this.#goOn(call)) hasSaid = true;
    this.#calls = this.#calls.filter((call) => !this.#isOver(call));
    for (const link of links) {
      const isUsed = this.#calls.some((call) => call.link === link);
      if (link.view.goAway && !isUsed) link.wire.leave();
    }
    return hasSaid;
  }

  /** A turn has passed. */
  turned(): void {
    // A server above its limit need not read anything.
    if (this.#world.isFull) return;
    for (const call of this.#calls) {
      this.maxTurns = Math.max(this.maxTurns, ++call.turns);
      if (call.turns === maxTurns + 1) {
        this.#violated(call, `${call.sent.length} sent, not answered in ${maxTurns} turns`);
      }
    }
  }

  leave(): void {
    this.#link.wire.leave();
  }

  #dial(): Link {
    const link = this.#world.connect(true);
    this.#nextId = 1;
    link.send(Buffer.concat([preface, set()]));
    return link;
  }

  #answer(link: Link): boolean {
    const { unanswered } = link.view;
    if (unanswered.length === 0 || link.wire.destroyed) return false;
    for (const each of unanswered.splice(0)) {
      if (each === 'settings') link.send(frameOf(FrameType.SETTINGS, Flag.ACK, 0, Buffer.alloc(0)));
      else link.send(frameOf(FrameType.PING, Flag.ACK, 0, each));
    }
    return true;
  }

  #goOn(call: Call): boolean {
    const { link, id, stream } = call;
    const parts: Buffer[] = [];
    const grown = stream.heard - call.heard;
    if (grown > 0) {
      call.heard += grown;
      parts.push(grow(0, grown));
      if (stream.state === 'begun') parts.push(grow(id, grown));
    }
    if (stream.state !== 'ended' && stream.reset === undefined) parts.push(...this.#next(call));
    link.send(block(...parts));
    return parts.length > 0;
  }

  #next(call: Call): Buffer[] {
    const { id, link, sent, size, stream } = call;
    const answered = unframe(Buffer.concat(stream.body)).length;
    if (call.left.length === 0 && call.count > 0 && answered === sent.length) {
      // A small message after each large one, which releases it.
      const message = Buffer.alloc(sent.length % 2 === 0 ? size : 10, sent.length + 1);
      sent.push(message);
      call.left = frame(message);
      call.count--;
      call.turns = 0;
    }
    const parts: Buffer[] = [];
    for (let sendable = link.view.sendable(stream); sendable > 0 && call.left.length > 0;) {
      const length = Math.min(sendable, defaultMaxFrameSize, call.left.length);
      parts.push(data(id, call.left.subarray(0, length)));
      call.left = call.left.subarray(length);
      sendable -= length;
    }
    // A unary call ends its request with the message; a stream after the last response.
    const isAnswered = stream.state === 'begun' && answered === sent.length;
    if (call.left.length === 0 && call.count === 0 && !call.hasEnded) {
      if (sent.length === 1 || isAnswered) {
        parts.push(data(id, '', Flag.END_STREAM));
        call.hasEnded = true;
        call.turns = 0;
      }
    }
    return parts;
  }

  #isOver(call: Call): boolean {
    const { id, link, stream, sent } = call;
    const { reset, fields, state } = stream;
    // It came too late, and may be retried elsewhere (RFC 9113 section 6.8).
    if (link.view.goAway && id > link.view.goAway.lastId) return true;
    if (state !== 'ended' && reset === undefined) {
      if (!link.wire.destroyed && !link.isFinished) return false;
      this.#refuse(call, 'its connection is closed');
      return true;
    }
    const status = fields[fields.indexOf('grpc-status') + 1];
    const isWhole = unframe(Buffer.concat(stream.body)).length === sent.length;
    const isRight = unframe(Buffer.concat(stream.body)).every((each, at) => sent[at]?.equals(each));
    if (state !== 'ended') this.#refuse(call, `it is reset with ${reset}`);
    else if (status !== '0') this.#refuse(call, `its status is ${status}: ${fields.join(' ')}`);
    else if (reset !== undefined && reset !== ErrorCode.NO_ERROR)
      this.#violated(call, `reset with ${reset}`);
    else if (!isWhole || !isRight || !call.hasEnded)
      this.#violated(call, 'answered with other bytes');
    else this.finished++;
    return true;
  }

  /**
   * The server may refuse what does not fit, but no small message of a client without a large one, which is charged
   * for up to two turns after its end.
   */
  #refuse(call: Call, how: string): void {
    const hasLarge = this.#world.turns.scheduler.turn - this.#largeAt <= 2;
    if (this.#world.wasFull && (hasLarge || call.size > smallMessage)) this.refused++;
    else this.#violated(call, how);
  }

  #violated({ name }: Call, how: string): void {
    this.#world.violations.push(`honest call ${name}: ${how}`);
  }
}
