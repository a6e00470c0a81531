/** How much of a peer a connection bears. Every bound has an answer: see each. */
export interface Http2Limits {
  /** Streams open at once; more are refused with REFUSED_STREAM (RFC 9113 section 5.1.2). */
  maxConcurrentStreams: number;
  /**
   * Bytes of a request's header list, as section 6.5.2 counts them. Of a larger one hardly anything is
   * kept: the request is served as one of which that alone is known (see RequestHeaders).
   */
  maxHeaderListSize: number;
  /**
   * Bytes of a header block, and of the list that it stands for, that are read although the list is too
   * large, as the next blocks build on it; more are ENHANCE_YOUR_CALM.
   */
  maxHeaderBlockSize: number;
  /** Bytes that an open stream counts for, beside what it holds: itself, and whatever serves it. */
  streamCost: number;
  /** Frames that a header block may come in; more are ENHANCE_YOUR_CALM. */
  maxHeaderFrames: number;
  /** Bytes of a request body that a stream may send before anything is known of it. */
  initialWindowSize: number;
  /** Those that it may send once some have been consumed, where there is room. */
  streamWindowSize: number;
  /**
   * Bytes of DATA that a connection may send before it hears that they have come. Streams are held back
   * by their own windows alone: one whose handler is slow must not stop the others (section 5.2.1).
   */
  connectionWindowSize: number;
  /** Bytes of a response that a stream holds before its writer is told to wait. */
  streamBufferSize: number;
  /** The same for all streams of a connection together. */
  connectionBufferSize: number;
  /**
   * Streams a second that are reset before their response is complete, twice as many at once; each
   * response that is complete allows one more. More are ENHANCE_YOUR_CALM.
   */
  resetsPerSecond: number;
  /**
   * Frames a second that ask for no response: PING, SETTINGS, PRIORITY, empty and unknown ones, twice as
   * many at once. Each HEADERS or DATA frame that is sent, or DATA that comes, allows one more, but no
   * SETTINGS. More are ENHANCE_YOUR_CALM.
   */
  controlFramesPerSecond: number;
  /**
   * Bytes of frames that wait for a peer to read them, those in the socket included. Where there are more,
   * nothing is read of the peer until there are half as many. The header blocks of calls that are open by
   * then wait, too, while the server has bytes for them; where it has not, the connection ends with
   * ENHANCE_YOUR_CALM.
   */
  maxUnreadBytes: number;
}

/** Those that are settings. */
export type LimitSettings = Pick<
  Http2Limits,
  'maxConcurrentStreams' | 'maxHeaderListSize' | 'resetsPerSecond' | 'controlFramesPerSecond'
>;

/** Those that are none. */
export const fixedLimits: Omit<Http2Limits, keyof LimitSettings> = {
  maxHeaderBlockSize: 1024 * 1024,
  streamCost: 1024,
  // Enough for the largest block, in frames of half the size that everybody takes.
  maxHeaderFrames: 128,
  // What HTTP/2 has where nothing is said: a message that there is no room for has sent no more.
  initialWindowSize: 65_535,
  streamWindowSize: 256 * 1024,
  connectionWindowSize: 1024 * 1024,
  streamBufferSize: 64 * 1024,
  connectionBufferSize: 4 * 1024 * 1024,
  maxUnreadBytes: 1024 * 1024,
};
