import { subscribe, unsubscribe } from 'node:diagnostics_channel';

/** The streams, and so the calls, that are open on the HTTP/2 servers of this process. */
export interface OpenStreams extends Disposable {
  count(): number;
  /** Resolves as soon as there is none. */
  none(): Promise<void>;
}

/**
 * Counts from now on. grpc-js keeps its servers to itself, and a middleware sees a call neither
 * before its request is whole nor after its status is written; Node's own channels see it all.
 */
export function countOpenStreams(): OpenStreams {
  let open = 0;
  const waiting = new Set<() => void>();
  subscribe('http2.server.stream.start', onStart);
  subscribe('http2.server.stream.close', onClose);

  return {
    count: () => open,
    none: () =>
      new Promise((resolve) => {
        if (open === 0) resolve();
        else waiting.add(resolve);
      }),
    [Symbol.dispose]() {
      unsubscribe('http2.server.stream.start', onStart);
      unsubscribe('http2.server.stream.close', onClose);
    },
  };

  function onStart(): void {
    open++;
  }

  function onClose(): void {
    if (--open > 0) return;
    for (const resolve of waiting) resolve();
    waiting.clear();
  }
}
