/** What a call can do to its connection on purpose, for tests of clients. */
export interface ConnectionFaults {
  /** Closes the connection at once, with a TCP RST if there is one to send. */
  readonly drop: () => void;
  /** Starts graceful shutdown of the connection. */
  readonly retire: () => void;
}
