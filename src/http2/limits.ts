/** How much of a peer a connection bears. Every bound has an answer: see each. */
export interface Http2Limits {
  /** Streams open at once; more are refused with REFUSED_STREAM (RFC 9113 section 5.1.2). */
  maxConcurrentStreams: number;
  /** Bytes of a request's header list, as section 6.5.2 counts them; a larger one is answered 431. */
  maxHeaderListSize: number;
  /** Bytes that an open stream counts for, beside what it holds: itself, and whatever serves it. */
  streamCost: number;
  /** Frames that a header block may come in; more are ENHANCE_YOUR_CALM. */
  maxHeaderFrames: number;
  /** Bytes of a request body that a stream may send before they are consumed. */
  streamWindowSize: number;
  /** The same for all streams of a connection together. */
  connectionWindowSize: number;
  /** Bytes of a response that a stream holds before its writer is told to wait. */
  streamBufferSize: number;
  /** The same for all streams of a connection together. */
  connectionBufferSize: number;
  /** Streams that end by a reset: this many at once, then so many a second; more are ENHANCE_YOUR_CALM. */
  resets: Rate;
  /** Frames that make us work for nothing: PING, SETTINGS, PRIORITY, empty and unknown ones. */
  controlFrames: Rate;
  /** Bytes of frames that wait for a peer that does not read; more are ENHANCE_YOUR_CALM. */
  maxUnreadBytes: number;
}

/** So many at once, and then so many a second. */
export interface Rate {
  burst: number;
  perSecond: number;
}

/** What holds where nothing else is said. */
export const defaultLimits: Http2Limits = {
  maxConcurrentStreams: 1000,
  maxHeaderListSize: 16 * 1024,
  streamCost: 1024,
  maxHeaderFrames: 32,
  streamWindowSize: 256 * 1024,
  connectionWindowSize: 1024 * 1024,
  streamBufferSize: 64 * 1024,
  connectionBufferSize: 4 * 1024 * 1024,
  resets: { burst: 1000, perSecond: 33 },
  controlFrames: { burst: 1000, perSecond: 100 },
  maxUnreadBytes: 1024 * 1024,
};
