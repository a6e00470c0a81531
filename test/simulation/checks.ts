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

/** The maximum work per turn, in units of scheduler.ts. */
const quota = {
  /** Of a connection that was not queued. */
  fresh: 4000,
  /** Of a queued connection, if no other is queued. */
  waited: 16_000,
  /** Of all connections. */
  all: 32_000,
};
/** The maximum work of one step. Its cost is known only afterwards; the most expensive step is a header block. */
const largestStep = headerWork(2 * limits.maxHeaderBlockSize);
/** The work of one call that may exceed the quota: one request message, one response message, and the end. */
const workOfCall =
  cost.request + cost.coding + cost.response + cost.failure + 2 * copyWork(maxMessageSize);
/** The maximum work of a connection above its quota, per turn. */
const maxLate = limits.maxConcurrentStreams * workOfCall;
/** The maximum number of turns that a connection waits for its quota, without those in which it pays its deficit. */
const maxWaited = 3;

/** The charge of a remembered reset stream, in bytes. */
const resetCost = 32;
/** The maximum that a connection holds without its streams, in bytes: incomplete frames and blocks, HPACK tables and caches, output. */
const maxIdle = 256 * 1024;
/** The overhead of a part of a response, in bytes. */
const partCost = 128;
/** Smaller messages, in bytes, need no admission. */
const smallMessage = 16 * 1024;
/** The pseudo-header fields of a request, in bytes. */
const pseudoFields = 1024;

/** Throws if an invariant between two moves does not hold. The server's count is `bufferedBytes`. */
export function check(world: World): void {
  const { http2, links, served } = world;
  const [violation] = world.violations;
  if (violation !== undefined) throw new Error(violation);
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

/** True while it is charged: on a closed connection, until its handler has been notified. */
function isHeld({ stream }: World['served'][number]): boolean {
  return !stream.closed || stream.heldBytes > 0;
}

/** A job of another thread is charged until it is done, even if its stream is closed. */
function mayBeInflated(each: World['served'][number]): boolean {
  return each.stream.closed && !isPlain(each);
}

/** The invariants after a turn, when all charges are up to date. */
export function checkTurned(world: World): void {
  const { budget, http2, links, served, turns } = world;
  const held = served.filter(isHeld);
  const { bufferedBytes } = http2;
  const { input: waiting = 0 } = http2.heldBytes;
  const inflated = sum(served.filter(mayBeInflated), (each) => maxOfStream(each, undefined));
  const most = waiting + inflated + sum(links, (link) => maxHeld(link, ofLink(held, link)));
  hold(bufferedBytes <= most, `${bufferedBytes} bytes are counted`, most);
  if (!turns.isPending) served.forEach(checkEnd);
  if (held.length > 0 || turns.isPending || !links.every(isCalm)) return;
  const idle = sum(links, idleHeld);
  // Caches are freed above the limit.
  const isExact = budget > 2 ** 24;
  // Messages without a stream are being inflated by another thread.
  const { messages = 0 } = http2.heldBytes;
  hold(messages <= inflated, `${messages} bytes are inflated without a stream`, inflated);
  const others = bufferedBytes - messages;
  const isRight = isExact ? others === idle : others <= idle;
  hold(isRight, `${others} bytes are counted without a stream`, idle);
}

/** Throws unless the server is in its initial state after all peers have left. */
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
    // A stream that its call has reset gets no more events.
    const isOver = stream.closed && ends.length <= 1;
    hold(isOver, `call ${name} has ended: ${ends.join(', ')}`);
  }
}

/** Checks the categories that are known to the byte. */
function checkCategories(world: World, held: readonly Served[]): void {
  const { heldBytes } = world.http2;
  const smallest = Math.min(...Object.values(heldBytes));
  hold(smallest >= 0, `${smallest} bytes of a category are counted`, 0);
  const { calls = 0, retained = 0 } = heldBytes;
  const connections = new Set(held.map(({ link }) => link)).size;
  const ofCalls = limits.streamCost * held.length + limits.connectionCost * connections;
  hold(calls === ofCalls, `${calls} bytes of calls are counted`, ofCalls);
  const { messages = 0 } = heldBytes;
  const maxMessages = sum([...held, ...world.served.filter(mayBeInflated)], maxAtHand);
  hold(messages <= maxMessages, `${messages} bytes of messages are counted`, maxMessages);
  const most = sum(held, (each) => each.retained);
  hold(retained <= most, `${retained} bytes are counted that services keep`, most);
  // A handler that has not been notified of the end may retain more.
  const least = sum(held, (each) => (each.stream.closed ? 0 : each.retained));
  hold(retained >= least, `${retained} bytes are counted that services keep`, least);
}

/** A stream that the server has ended has ended for its peer. */
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
  const minQuota = quota.waited / Math.max(1, turns.connections);
  for (const { done, largest, late, hasWaited, waited, debt } of works) {
    hold(largest <= largestStep, `a connection has done ${largest} in one go`, largestStep);
    const inTime = done - late;
    const most = (hasWaited ? quota.waited : quota.fresh) + largest;
    hold(inTime <= most, `a connection has done ${inTime} within its quota of a turn`, most);
    const maxTurns = maxWaited + Math.floor(debt / minQuota);
    hold(waited <= maxTurns, `a connection has waited ${waited} turns`, maxTurns);
    hold(late <= maxLate, `a connection has done ${late} above its quota`, maxLate);
  }
  const all = sum(works, ({ done }) => done);
  const most = quota.all + sum(works, ({ largest, late }) => largest + late);
  hold(all <= most, `all connections have done ${all} in a turn`, most);
}

/** The minimum that the connection is known to hold, in bytes. */
function minHeld({ isGivenUp, wire, view }: Link, open: readonly Served[]): number {
  if (wire.destroyed || isGivenUp) return 0;
  const { readableLength, writableLength, untoldBytes } = wire;
  // Nothing of a closed connection is used.
  const isRead = wire.comingBytes === 0 && readableLength === 0 && !wire.writableEnded;
  // Input of a paused socket is counted later.
  const coming = wire.isStale ? 0 : readableLength;
  const begun = isRead ? view.begunBytes : 0;
  const requests =
    costOf(open) + sum(open, (each) => limits.streamCost + requestHeld(each) + each.retained);
  const responses = sum(open, (each) => responseHeld(each, view.streams.get(each.stream.id)));
  const unsent = Math.max(0, responses - untoldBytes);
  return coming + writableLength + begun + requests + unsent;
}

/** The maximum that the connection may hold, in bytes. */
function maxHeld({ wire, view }: Link, open: readonly Served[]): number {
  const streams =
    costOf(open) + sum(open, (each) => maxOfStream(each, view.streams.get(each.stream.id)));
  if (wire.destroyed) return streams;
  const { readableLength, writableLength } = wire;
  const buffers = readableLength + writableLength + maxIdle + resetCost * view.resets.size;
  return buffers + streams;
}

/** The charge of a connection with these streams. */
function costOf(open: readonly Served[]): number {
  return open.length > 0 ? limits.connectionCost : 0;
}

/** The maximum that a stream may hold, in bytes. */
function maxOfStream(each: Served, heard: { heard: number } | undefined): number {
  const { given, largest, received, request, retained, taken } = each;
  const { fields, overLimit } = request;
  const headers =
    overLimit === undefined ? listSize(fields) + pseudoFields : limits.maxHeaderListSize;
  const body = isPlain(each) ? received - taken : received + maxMessageSize;
  const responses = responseHeld(each, heard) + given * partCost;
  // The reservation of a large message, however little of it has arrived.
  const reserved = received > 0 ? timesOfMessage * maxMessageSize : 0;
  return (
    limits.streamCost + headers + Math.max(0, body) + largest + reserved + retained + responses
  );
}

/** Bytes received that no handler has read. */
function requestHeld(each: Served): number {
  const { isReading, messages, received, taken } = each;
  if (!isPlain(each) || !(isReading || messages === 0)) return 0;
  return Math.max(0, received - taken);
}

/** Bytes of messages that the handler has or that are admitted; of small ones, the last. */
function maxAtHand(each: Served): number {
  const { isReading, largest, last, received, taken } = each;
  const isLast = isPlain(each) && isReading && received === taken && last <= smallMessage;
  return isLast ? last : largest + timesOfMessage * maxMessageSize;
}

/** Bytes of responses that have not been sent. */
function responseHeld({ givenBytes }: Served, { heard } = { heard: 0 }): number {
  return Math.max(0, givenBytes - heard);
}

/** True if everything is sent, read and answered, without errors. */
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
