/** Fraction of the byte limit that is free after reclaimable memory has been dropped. */
export const reclaimedPart = 1 / 16;
/**
 * Multiples of the byte limit. Above the first, a peer above its fair share may not add bytes, even to complete a
 * call that would free more later; above the second, no peer may.
 */
export const far = 5 / 4;
export const overfull = 3 / 2;
/** Fraction of the byte limit that bounds the queue: each queued message has already received up to one window. */
export const waitingPart = 3 / 8;
/** Fraction of the byte limit by which all windows together may exceed their initial size. */
export const widerPart = 1 / 8;
/** Fraction of the byte limit that one message can be admitted with; the rest is left for other calls. */
export const maxPart = 3 / 4;
/** The maximum number of evictions in one turn, as resetting a call takes time. */
export const evictionsAtOnce = 16;
/** Seconds after which a queued request is refused, so that its caller can try another server. */
export const queueTimeout = 10;
