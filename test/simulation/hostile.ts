import { gzipSync } from 'node:zlib';
import { prefixLength } from '../../src/engine/grpc/methods.ts';
import { defaultMaxFrameSize, Flag, FrameType, preface } from '../../src/engine/http2/frames.ts';
import { SettingId } from '../../src/engine/http2/settings.ts';
import { connectionFrames, settingsFrames } from '../differential/connection_cases.ts';
import { data, grow, malformed, reset, set, streamFrames } from '../differential/frames.ts';
import { block } from '../hpack/blocks.ts';
import { frameOf, word } from '../support/http2_peer.ts';
import { frame, packed } from '../support/raw_client.ts';
import { paths } from './service.ts';
import { type RequestParts, requestHeaders } from './requests.ts';
import type { Link, World } from './world.ts';

/** Valid and invalid messages of a hostile client. */
export type MessageKind = 'whole' | 'half' | 'tiny' | 'zipped' | 'bomb' | 'malformed';

/** Frames or calls that it can send in large numbers. */
export type FloodKind =
  | 'ping'
  | 'settings'
  | 'priority'
  | 'empty'
  | 'resets'
  | 'window'
  | 'idle calls'
  | 'echo calls'
  | 'held calls'
  | 'endless responses'
  | 'half uploads'
  | 'kept uploads'
  | 'tiny echoes'
  | 'tiny uploads';

const { END_STREAM, ACK } = Flag;
const bomb = packed(gzipSync(Buffer.alloc(300_000)));
const tiny = frame(Buffer.from('x'));
/** Many small messages, which take several turns. */
const manyTiny = Buffer.alloc(300 * tiny.length, tiny);
const maxBodies = 10;
const halfUpload = frame(Buffer.alloc(90_000)).subarray(0, 60_000);
/** The last message is charged while the handler has it; the others only if they are retained. */
const kept = block(frame(Buffer.alloc(40_000)), tiny);
const noPreface = Buffer.from('GET / HTTP/1.1\r\n\r\n');

/** The highest index by which moves choose a stream. */
export const maxWhich = 30;

/** A client that sends anything, on one connection after the other. */
export class Hostile {
  readonly #world: World;
  #link: Link | undefined;
  #opened: number[] = [];
  /** Streams on which it sends nothing more. */
  readonly #ended = new Set<number>();
  #chunk = Number.POSITIVE_INFINITY;
  #held: Buffer = Buffer.alloc(0);

  constructor(world: World) {
    this.#world = world;
  }

  /** Opens a stream for a call, with a message if it has one. */
  open({ message, ...parts }: Omit<RequestParts, 'name'> & { message?: number | undefined }): void {
    this.#say((link) => {
      if (message === undefined) return this.#request(link, parts);
      return this.#call(link, frame(Buffer.alloc(message)), parts);
    });
  }

  /** Sends a valid or invalid message on one of its streams. */
  message(
    which: number,
    { kind, size, ends }: { kind: MessageKind; size: number; ends: boolean },
  ): void {
    this.#say((link) => {
      const { id, before } = this.#sending(link, which);
      const stream = link.view.streams.get(id);
      const body = bodies[kind](size);
      const sendable = stream ? Math.max(0, link.view.sendable(stream)) : body.length;
      // Usually within its windows.
      const part = which === maxWhich ? body : body.subarray(0, sendable);
      if (ends) this.#ended.add(id);
      return block(before, ...dataFrames(id, part, ends));
    });
  }

  end(which: number): void {
    this.#say((link) => {
      const { id, before } = this.#sending(link, which);
      this.#ended.add(id);
      return block(before, data(id, '', END_STREAM));
    });
  }

  reset(which: number): void {
    this.#say((link) => {
      const { id, before } = this.#sending(link, which);
      this.#ended.add(id);
      return block(before, reset(id));
    });
  }

  /** Resets all of its streams. */
  resetAll(): void {
    const opened = this.#opened.splice(0);
    if (this.#link && !this.#isGone(this.#link))
      this.#say(() => block(...opened.map((id) => reset(id))));
  }

  grow(which: number, by: number): void {
    this.#say((link) => grow(which % 3 === 0 ? 0 : this.#one(link, which), by));
  }

  settings(initialWindow: number, maxFrameSize: number): void {
    const { INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE } = SettingId;
    this.#say(() => set([INITIAL_WINDOW_SIZE, initialWindow], [MAX_FRAME_SIZE, maxFrameSize]));
  }

  /** Sends any frame of the differential tests, valid or not. */
  frame(what: number, which: number): void {
    const connection = [...settingsFrames, ...connectionFrames];
    const all = connection.length + streamFrames.length;
    this.#say((link) => {
      const [flight] = connection[what % all]?.flights ?? [];
      const named = streamFrames[(what % all) - connection.length];
      return flight?.bytes ?? named?.of(this.#one(link, which)) ?? malformed(this.#newId(link));
    });
  }

  flood(kind: FloodKind, count: number): void {
    // Each within what the previous one left of the connection window.
    if (/uploads|tiny/.test(kind)) {
      for (let left = Math.min(count, maxBodies); left > 0; left--)
        this.#say((link) => this.#flooding(link, kind));
    } else
      this.#say((link) =>
        block(...Array.from({ length: count }, () => this.#flooding(link, kind))),
      );
  }

  /** Acknowledges what the server has sent, as a normal peer would. */
  answer(): void {
    const unanswered = this.#link?.view.unanswered.splice(0) ?? [];
    for (const each of unanswered) {
      const isSettings = each === 'settings';
      const type = isSettings ? FrameType.SETTINGS : FrameType.PING;
      this.#say(() => frameOf(type, ACK, 0, isSettings ? Buffer.alloc(0) : each));
    }
  }

  /** Splits its output into chunks of this size from now on. */
  cut(chunk: number): void {
    this.#chunk = chunk;
  }

  /** Withholds the last bytes of its output until the next output. */
  withhold(bytes: number): void {
    this.#say((link) => {
      const whole = this.#request(link, { path: paths.echo });
      const at = Math.max(1, whole.length - bytes);
      this.#held = whole.subarray(at);
      return whole.subarray(0, at);
    });
  }

  read(reads: boolean): void {
    this.#link?.wire.setReading(reads);
  }

  leave(how: 'reset' | 'end'): void {
    const wire = this.#link?.wire;
    if (how === 'end') wire?.leave();
    else wire?.breakOff();
    this.#link = undefined;
  }

  /** Sends something other than HTTP/2. */
  greetWrongly(): void {
    this.leave('reset');
    this.#world.connect().send(noPreface);
  }

  #say(bytes: (link: Link) => Buffer): void {
    let link = this.#link;
    if (!link || this.#isGone(link)) link = this.#dial();
    const held = this.#held;
    this.#held = Buffer.alloc(0);
    link.send(block(held, bytes(link)), this.#chunk);
  }

  #isGone({ wire, isFinished, view }: Link): boolean {
    return wire.destroyed || isFinished || (view.goAway !== undefined && view.goAway.code !== 0);
  }

  #dial(): Link {
    this.#link?.wire.leave();
    this.#link?.wire.setReading(true);
    const link = this.#world.connect();
    this.#link = link;
    this.#opened = [];
    this.#ended.clear();
    this.#held = Buffer.alloc(0);
    link.send(block(preface, set()));
    return link;
  }

  /** Frames of the differential tests may have opened streams, too. */
  #newId({ view }: Link): number {
    const last = Math.max(view.lastId, this.#opened.at(-1) ?? 0);
    const id = (last + 1) | 1;
    this.#opened.push(id);
    return id;
  }

  /** One of its streams, preferably an open and recent one. */
  #one({ view }: Link, which: number): number {
    const open = this.#opened.filter((id) => {
      const stream = view.streams.get(id);
      return stream && stream.state !== 'ended' && stream.reset === undefined;
    });
    const some = open.length > 0 ? open : this.#opened;
    return some.at(-1 - (which % some.length)) ?? 1;
  }

  /** One of the streams that may send more; opens one if there is none. */
  #sending(link: Link, which: number): { id: number; before: Buffer } {
    const open = this.#opened.filter(
      (id) => !this.#ended.has(id) && link.view.streams.get(id)?.reset === undefined,
    );
    const id = open.at(-1 - (which % Math.max(1, open.length)));
    if (id !== undefined) return { id, before: Buffer.alloc(0) };
    const before = this.#request(link, { path: paths.pingPong });
    return { id: this.#opened.at(-1) ?? 1, before };
  }

  #request(link: Link, parts: Omit<RequestParts, 'name'>): Buffer {
    const id = this.#newId(link);
    if (parts.ends) this.#ended.add(id);
    return requestHeaders(id, { ...parts, name: `${link.name}.${id}` });
  }

  /** Within the available windows. */
  #call(link: Link, body: Buffer, { ends, ...parts }: Omit<RequestParts, 'name'>): Buffer {
    const request = this.#request(link, parts);
    const id = this.#opened.at(-1) ?? 1;
    const part = body.subarray(0, Math.max(0, link.view.sendable({ sent: 0, regained: 0 })));
    if (ends) this.#ended.add(id);
    return block(request, ...dataFrames(id, part, ends === true));
  }

  #flooding(link: Link, kind: FloodKind): Buffer {
    const request = (path: string) => this.#request(link, { path, isInserted: true });
    const call = (path: string, body: Buffer, ends = true) =>
      this.#call(link, body, { path, isInserted: true, ends });
    const floods: Record<FloodKind, () => Buffer> = {
      ping: () => frameOf(FrameType.PING, 0, 0, Buffer.alloc(8)),
      settings: () => set(),
      priority: () => frameOf(FrameType.PRIORITY, 0, 1001, Buffer.alloc(5)),
      empty: () => data(this.#one(link, 0), ''),
      window: () => grow(0, 1),
      'idle calls': () => request(paths.pingPong),
      'echo calls': () => call(paths.echo, tiny),
      'held calls': () => call(paths.hold, tiny),
      'endless responses': () => call(paths.fill, tiny),
      'half uploads': () => call(paths.echo, halfUpload, false),
      'kept uploads': () => call(paths.keep, kept, false),
      'tiny echoes': () => call(paths.pingPong, manyTiny),
      'tiny uploads': () => call(paths.keep, manyTiny),
      resets: () => block(request(paths.echo), reset(this.#opened.at(-1) ?? 1)),
    };
    return floods[kind]();
  }
}

/** The bodies of messages, of so many bytes. */
const bodies: Record<MessageKind, (size: number) => Buffer> = {
  whole: (size) => frame(Buffer.alloc(size)),
  half: (size) => frame(Buffer.alloc(size)).subarray(0, Math.ceil((prefixLength + size) / 2)),
  tiny: (size) => Buffer.alloc(tiny.length * Math.ceil(size / 50), tiny),
  zipped: (size) => packed(zippedOf(size)),
  bomb: () => bomb,
  malformed: (size) => block(Buffer.from([size % 3]), word(2 ** 32 - 1 - size)),
};

const zipped = new Map<number, Buffer>();

function zippedOf(size: number): Buffer {
  const known = zipped.get(size) ?? gzipSync(Buffer.alloc(size));
  zipped.set(size, known);
  return known;
}

function dataFrames(id: number, body: Buffer, ends: boolean): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 0; at < Math.max(1, body.length); at += defaultMaxFrameSize) {
    const isLast = at + defaultMaxFrameSize >= body.length;
    const part = body.subarray(at, at + defaultMaxFrameSize);
    frames.push(data(id, part, isLast && ends ? END_STREAM : 0));
  }
  return frames;
}
