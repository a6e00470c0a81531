/** Limits of a connection, each with the response to exceeding it. */
export interface Http2Limits {
  /** SETTINGS_MAX_CONCURRENT_STREAMS; further streams are refused with REFUSED_STREAM (RFC 9113 section 5.1.2). */
  maxConcurrentStreams: number;
  /**
   * SETTINGS_MAX_HEADER_LIST_SIZE in bytes, counted as in section 6.5.2. A larger list is dropped, and the request is
   * answered with an error (see RequestHeaders).
   */
  maxHeaderListSize: number;
  /**
   * The maximum of a header block, and of its decoded list, in bytes, that is decoded to keep the dynamic table in
   * sync although the list is too large; above it, the connection ends with ENHANCE_YOUR_CALM.
   */
  maxHeaderBlockSize: number;
  /** The charge of an open stream in bytes, beside what it holds. */
  streamCost: number;
  /** The charge of a connection with open streams in bytes, beside what it holds. */
  connectionCost: number;
  /** The maximum number of frames of a header block; above it, the connection ends with ENHANCE_YOUR_CALM. */
  maxHeaderFrames: number;
  /** The initial stream window in bytes, before the request is known. */
  initialWindowSize: number;
  /** The stream window in bytes once data has been consumed and memory allows it. */
  streamWindowSize: number;
  /**
   * The connection window in bytes. It is opened as soon as data arrives: only stream windows limit what is buffered,
   * so that a stream with a slow handler does not block the others (section 5.2.1).
   */
  connectionWindowSize: number;
  /** Bytes of a response that a stream buffers before its writer must wait. */
  streamBufferSize: number;
  /** The same for all streams of a connection together. */
  connectionBufferSize: number;
  /**
   * The rate of streams per second that are reset before their response is complete, with a burst of twice as many;
   * each complete response allows one more. Above it, the connection ends with ENHANCE_YOUR_CALM.
   */
  resetsPerSecond: number;
  /**
   * The rate of frames per second that request no response (PING, SETTINGS, PRIORITY, empty and unknown frames), with
   * a burst of twice as many. Each HEADERS or DATA frame sent, and each DATA frame received, allows one more, except
   * SETTINGS. Above it, the connection ends with ENHANCE_YOUR_CALM.
   */
  controlFramesPerSecond: number;
  /**
   * The rate per second of small chunks of input that complete no frame, with a burst of twice as many; each frame
   * allows two more. A TLS record is a chunk, so a peer that puts each byte into a record of its own would cost a
   * thousand times as much as others. Above it, the connection ends with ENHANCE_YOUR_CALM.
   */
  fragmentsPerSecond: number;
  /**
   * The maximum of output that the peer has not read, in bytes, including the socket's buffer. Above it, the peer is
   * not read from until half is sent. Header blocks of open calls are then queued while the byte limit allows it;
   * otherwise the connection ends with ENHANCE_YOUR_CALM.
   */
  maxUnreadBytes: number;
}

/** The limits that are settings. */
export type LimitSettings = Pick<
  Http2Limits,
  'maxConcurrentStreams' | 'maxHeaderListSize' | 'resetsPerSecond' | 'controlFramesPerSecond'
>;

/** The limits that are not settings. */
export const fixedLimits: Omit<Http2Limits, keyof LimitSettings> = {
  maxHeaderBlockSize: 1024 * 1024,
  streamCost: 1024,
  // An idle connection takes about 9 KiB, so thousands of connections with a call each would not be counted otherwise.
  connectionCost: 2560,
  // Enough for the largest block in frames of half the default size.
  maxHeaderFrames: 128,
  // HTTP/2's initial value, so a message that is not admitted has sent no more.
  initialWindowSize: 65_535,
  streamWindowSize: 256 * 1024,
  connectionWindowSize: 1024 * 1024,
  streamBufferSize: 64 * 1024,
  connectionBufferSize: 4 * 1024 * 1024,
  fragmentsPerSecond: 128,
  maxUnreadBytes: 1024 * 1024,
};

/** A connection with no more open streams is served even far above the byte limit, as it may be a probe's. */
export const fewStreams = 2;
