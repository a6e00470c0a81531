import { listSize } from '../../src/engine/http2/hpack/header_list.ts';
import { copyWork, cost, headerWork } from '../../src/engine/scheduler.ts';
import {
  isPlain,
  type Link,
  limits,
  maxMessageSize,
  type Served,
  timesOfMessage,
  type World,
} from './world.ts';

/**
 * What may be done in a turn, in units of scheduler.ts: by one connection that comes, by one that has waited,
 * where no other one does, and by all together.
 */
const quota = { fresh: 4000, waited: 16_000, all: 32_000 };
/** What is done before it is known what it costs: the largest is a header block. */
const largestStep = headerWork(2 * limits.maxHeaderBlockSize);
/** What goes on when its connection has done its part: of each call a message that is taken, one that is given, and its end. */
const stepOfCall =
  cost.request + cost.coding + cost.response + cost.failure + 2 * copyWork(maxMessageSize);
/** Turns that one waits for its part, beside those in which it pays for what it has done beyond the ones before. */
const mostWaited = 3;
const mostLate = limits.maxConcurrentStreams * stepOfCall;

/** What a stream counts for that is reset, in bytes, as long as that is remembered. */
const resetCost = 32;
/** Of a connection, whatever its streams have: frames and blocks that have begun, HPACK's table and cache, output. */
const maxIdle = 256 * 1024;
/** What the parts of a response count beside their bytes, each. */
const partCost = 128;
/** Messages of fewer bytes are read whatever room there is. */
const smallMessage = 16 * 1024;
/** What is not listed of a request's headers. */
const pseudoFields = 1024;

/** Throws where a rule does not hold that holds between any two moves. What the server counts is `bufferedBytes`. */
export function check(world: World): void {
  const { http2, links, served } = world;
  const [broken] = world.broken;
  if (broken !== undefined) throw new Error(broken);
  const open = served.filter(({ stream }) => !stream.closed);
  const held = served.filter(isHeld);
  hold(http2.openStreams === held.length, `${http2.openStreams} streams are open`, held.length);
  for (const link of links) {
    const own = ofLink(open, link).length;
    const most = limits.maxConcurrentStreams;
    hold(own <= most, `${own} streams are open on connection ${link.name}`, most);
  }
  checkWork(world);
  const least = sum(links, (link) => minHeld(link, ofLink(open, link)));
  hold(http2.bufferedBytes >= least, `${http2.bufferedBytes} bytes are counted`, least);
  checkCategories(world, held);
}

/** Whether it counts: one whose connection is over does until whoever serves it has been told. */
function isHeld({ stream }: World['served'][number]): boolean {
  return !stream.closed || stream.heldBytes > 0;
}

/** What another thread inflates, or is about to, is charged until that is done, though its stream is over. */
function mayBeInflated(each: World['served'][number]): boolean {
  return each.stream.closed && !isPlain(each);
}

/** The same when a turn has just passed: all has been counted anew. */
export function checkTurned(world: World): void {
  const { budget, http2, links, served, turns } = world;
  const held = served.filter(isHeld);
  const { bufferedBytes } = http2;
  const waiting = turns.scheduler.deferredInput;
  const inflated = sum(served.filter(mayBeInflated), (each) => mostOfStream(each, undefined));
  const most = waiting + inflated + sum(links, (link) => maxHeld(link, ofLink(held, link)));
  hold(bufferedBytes <= most, `${bufferedBytes} bytes are counted`, most);
  if (!turns.isPending) served.forEach(checkEnd);
  if (held.length > 0 || turns.isPending || !links.every(isCalm)) return;
  const idle = sum(links, idleHeld);
  // What is kept for speed alone is given up where there is no room for it.
  const isExact = budget > 2 ** 24;
  const isRight = isExact ? bufferedBytes === idle : bufferedBytes <= idle;
  hold(isRight, `${bufferedBytes} bytes are counted without a stream`, idle);
}

/** Throws unless all is as if nobody had ever been there; for a server whose peers have all left. */
export function checkOver({ calls, http2, served }: World): void {
  const { bufferedBytes, heldBytes, openConnections, openStreams } = http2;
  hold(bufferedBytes === 0, `${bufferedBytes} bytes are counted when all have left`, 0);
  hold(openConnections === 0, `${openConnections} connections are open when all have left`, 0);
  hold(openStreams === 0, `${openStreams} streams are open when all have left`, 0);
  hold(calls.size === 0, `${calls.size} calls are open when all have left`, 0);
  for (const [category, bytes] of Object.entries(heldBytes)) {
    hold(bytes === 0, `${bytes} bytes of ${category} are counted when all have left`, 0);
  }
  for (const { ends, name, stream } of served) {
    // One that its call has reset itself is told of nothing more.
    const isOver = stream.closed && ends.length <= 1;
    hold(isOver, `call ${name} has ended: ${ends.join(', ')}`);
  }
}

/** What is known to the byte, in bytes of one category. */
function checkCategories(world: World, held: readonly Served[]): void {
  const { heldBytes } = world.http2;
  const smallest = Math.min(...Object.values(heldBytes));
  hold(smallest >= 0, `${smallest} bytes of a category are counted`, 0);
  const { calls = 0, retained = 0 } = heldBytes;
  const ofCalls = limits.streamCost * held.length;
  hold(calls === ofCalls, `${calls} bytes of calls are counted`, ofCalls);
  const { messages = 0 } = heldBytes;
  const maxMessages = sum([...held, ...world.served.filter(mayBeInflated)], maxAtHand);
  hold(messages <= maxMessages, `${messages} bytes of messages are counted`, maxMessages);
  const most = sum(held, (each) => each.retained);
  hold(retained <= most, `${retained} bytes are counted that services keep`, most);
  // Who has not been told yet that a stream is closed may keep more.
  const least = sum(held, (each) => (each.stream.closed ? 0 : each.retained));
  hold(retained >= least, `${retained} bytes are counted that services keep`, least);
}

/** A stream that we have ended has ended for its peer. */
function checkEnd({ ends: [how], link, name, stream }: Served): void {
  const { wire, view } = link;
  const heard = view.streams.get(stream.id);
  if (!stream.closed || how === 'reset' || !isCalm(link) || wire.destroyed || !heard) return;
  const { hasSaidEnd, reset, state } = heard;
  hold(state === 'ended' || reset !== undefined, `call ${name} has ended and is ${state}`);
  // RFC 9113 section 8.1.
  hold(hasSaidEnd || reset !== undefined, `call ${name} has ended, and its requests have not`);
}

function checkWork({ turns }: World): void {
  const works = turns.works();
  const leastPart = quota.waited / Math.max(1, turns.connections);
  for (const { done, largest, late, hasWaited, waited, debt, wasCrowded } of works) {
    hold(largest <= largestStep, `a connection has done ${largest} in one go`, largestStep);
    const inTime = done - late;
    const most = (hasWaited ? quota.waited : quota.fresh) + largest;
    hold(inTime <= most, `a connection has done ${inTime} as its part of a turn`, most);
    const maxTurns = mostWaited + Math.floor(debt / leastPart);
    hold(waited <= maxTurns, `a connection has waited ${waited} turns`, maxTurns);
    // What is too much to wait is dealt with at once, and no more of it is read.
    hold(late <= mostLate || wasCrowded, `a connection has done ${late} beyond its part`, mostLate);
  }
  const all = sum(works, ({ done }) => done);
  const most = quota.all + sum(works, ({ largest, late }) => largest + late);
  hold(all <= most, `all connections have done ${all} in a turn`, most);
}

/** What we know that the connection keeps. */
function minHeld({ isGivenUp, wire, view }: Link, open: readonly Served[]): number {
  if (wire.destroyed || isGivenUp) return 0;
  const { readableLength, writableLength, untoldBytes } = wire;
  // Of a connection that is over nothing is of use.
  const isRead = wire.comingBytes === 0 && readableLength === 0 && !wire.writableEnded;
  // What is read of a paused socket is counted later.
  const coming = wire.isStale ? 0 : readableLength;
  const begun = isRead ? view.begunBytes : 0;
  const requests = sum(open, (each) => limits.streamCost + requestHeld(each) + each.retained);
  const responses = sum(open, (each) => responseHeld(each, view.streams.get(each.stream.id)));
  const unsent = Math.max(0, responses - untoldBytes);
  return coming + writableLength + begun + requests + unsent;
}

/** What it keeps beyond that is a bounded part of it, or of what it is. */
function maxHeld({ wire, view }: Link, open: readonly Served[]): number {
  const streams = sum(open, (each) => mostOfStream(each, view.streams.get(each.stream.id)));
  if (wire.destroyed) return streams;
  const { readableLength, writableLength } = wire;
  const buffers = readableLength + writableLength + maxIdle + resetCost * view.resets.size;
  return buffers + streams;
}

function mostOfStream(each: Served, heard: { heard: number } | undefined): number {
  const { given, largest, received, request, retained, taken } = each;
  const { fields, overLimit } = request;
  const headers =
    overLimit === undefined ? listSize(fields) + pseudoFields : limits.maxHeaderListSize;
  const body = isPlain(each) ? received - taken : received + maxMessageSize;
  const responses = responseHeld(each, heard) + given * partCost;
  // Of a large message that has begun, however little of it has come.
  const reserved = received > 0 ? timesOfMessage * maxMessageSize : 0;
  return (
    limits.streamCost + headers + Math.max(0, body) + largest + reserved + retained + responses
  );
}

/** Bytes that have come and that no handler has taken, while one may. */
function requestHeld(each: Served): number {
  const { isReading, messages, received, taken } = each;
  if (!isPlain(each) || !(isReading || messages === 0)) return 0;
  return Math.max(0, received - taken);
}

/** Bytes of messages that its handler has, or that there is room for; of small ones that all are taken, the last. */
function maxAtHand(each: Served): number {
  const { isReading, largest, last, received, taken } = each;
  const isLast = isPlain(each) && isReading && received === taken && last <= smallMessage;
  return isLast ? last : largest + timesOfMessage * maxMessageSize;
}

/** Bytes of responses that have not been sent. */
function responseHeld({ givenBytes }: Served, { heard } = { heard: 0 }): number {
  return Math.max(0, givenBytes - heard);
}

/** Whether all has been said, read and answered, and nothing went wrong. */
function isCalm({ wire, view, idleBytes }: Link): boolean {
  if (wire.destroyed) return true;
  const isEmpty = wire.comingBytes + wire.readableLength + wire.writableLength === 0;
  const isCounted = wire.isRead && !wire.isStale;
  return isEmpty && isCounted && idleBytes !== undefined && view.goAway === undefined;
}

function idleHeld({ wire, view, idleBytes = 0 }: Link): number {
  return wire.destroyed ? 0 : idleBytes + resetCost * view.resets.size;
}

function ofLink(streams: readonly Served[], link: Link): Served[] {
  return streams.filter((each) => each.link === link);
}

function sum<T>(all: readonly T[], of: (each: T) => number): number {
  return all.reduce((total, each) => total + of(each), 0);
}

function hold(holds: boolean, what: string, bound?: number): void {
  if (!holds) throw new Error(bound === undefined ? what : `${what}, not ${bound}`);
}
