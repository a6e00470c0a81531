/** Where to listen: a TCP port, on one interface or on all, or a unix socket. */
export type Address = TcpAddress | { readonly text: string; readonly path: string };

export interface TcpAddress {
  readonly text: string;
  /** As it is written; undefined for all interfaces. */
  readonly host: string | undefined;
  /** What a name stands for, once it has been looked up. */
  readonly hosts?: readonly string[];
  readonly port: number;
}
