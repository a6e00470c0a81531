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
 * How many turns a message may take to be answered, and a call to end: the peers of a world are few, so that
 * each has its part of every turn, and a message takes hardly any of it.
 */
const maxTurns = 12;

/** Bytes of a message for which there is room in any share: who asks for no more is never refused. */
const smallMessage = 4096;

interface Call {
  readonly name: string;
  readonly link: Link;
  readonly id: number;
  readonly stream: StreamView;
  /** Messages that it has to send yet, each of so many bytes at most. */
  count: number;
  readonly size: number;
  /** Those that it has sent, as they should come back. */
  readonly sent: Buffer[];
  /** What of them has not left, for want of a window, and whether its end has. */
  left: Buffer;
  hasEnded: boolean;
  /** Turns since the last message. */
  turns: number;
  /** Bytes of DATA that have come, and given the server its window again. */
  heard: number;
}

/** A client that keeps to the rules, on a connection of its own: its calls finish, whatever others do. */
export class Honest {
  readonly #world: World;
  #link: Link;
  #nextId = 1;
  #calls: Call[] = [];
  finished = 0;
  /** Calls that the server has refused, as it may while it keeps more than it may. */
  refused = 0;
  /** The most that a message has taken. */
  maxTurns = 0;

  constructor(world: World) {
    this.#world = world;
    this.#link = this.#dial();
  }

  get openCalls(): number {
    return this.#calls.length;
  }

  /** Begins a call of `count` messages of `size` bytes at most, each sent when the one before is answered. */
  call(count: number, size: number): void {
    if (this.#calls.length >= 10) return;
    // A server that leaves is to be dialled anew (RFC 9113 section 6.8).
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

  /** Says what there is to say; false when there is nothing. */
  react(): boolean {
    const links = new Set([this.#link, ...this.#calls.map(({ link }) => link)]);
    let hasSaid = false;
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
    // While the server has no room it need not read anything.
    if (this.#world.isFull) return;
    for (const call of this.#calls) {
      this.maxTurns = Math.max(this.maxTurns, ++call.turns);
      if (call.turns === maxTurns + 1) {
        this.#broken(call, `${call.sent.length} sent, not answered in ${maxTurns} turns`);
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
      // A small one behind each large one, which leaves nothing of it.
      const message = Buffer.alloc(sent.length % 2 === 0 ? size : 10, sent.length + 1);
      sent.push(message);
      call.left = frame(message);
      call.count--;
      call.turns = 0;
    }
    const parts: Buffer[] = [];
    for (let room = link.view.room(stream); room > 0 && call.left.length > 0;) {
      const length = Math.min(room, defaultMaxFrameSize, call.left.length);
      parts.push(data(id, call.left.subarray(0, length)));
      call.left = call.left.subarray(length);
      room -= length;
    }
    // A unary call ends its requests with the message; a stream when that is answered.
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
    // It came too late to be served, and may be sent again elsewhere (RFC 9113 section 6.8).
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
      this.#broken(call, `reset with ${reset}`);
    else if (!isWhole || !isRight || !call.hasEnded)
      this.#broken(call, 'answered with other bytes');
    else this.finished++;
    return true;
  }

  /** It may refuse what there is no room for, but no small message of a client that has no large one under way. */
  #refuse(call: Call, how: string): void {
    const hasLarge = this.#calls.some(({ size }) => size > smallMessage);
    if (this.#world.wasFull && (hasLarge || call.size > smallMessage)) this.refused++;
    else this.#broken(call, how);
  }

  #broken({ name }: Call, how: string): void {
    this.#world.broken.push(`honest call ${name}: ${how}`);
  }
}
