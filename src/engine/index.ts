export type {
  Abortable,
  Compressible,
  Connected,
  Counted,
  Drainable,
  Faulty,
  Retaining,
  Sending,
  Timed,
  WithAuthority,
  WithProtocol,
} from './grpc/context.ts';
export type { ResponseFault, Translated } from './grpc/call_faults.ts';
export {
  BecomesTooMuch,
  decodeCounted,
  encodeFramed,
  type MessageMemory,
  type Work,
  frame,
  prefixLength,
  withPrefix,
  type AddedService,
  addedService,
  handlersOf,
} from './grpc/methods.ts';
export { freeLarge, letGo, withOwnMemory } from './buffers.ts';
export { isLarge } from './admission.ts';
export {
  chunkSize,
  maxInflation,
  unpack,
  withCompressionSlot,
  withInflationSlot,
} from './grpc/compression.ts';
export { mentionsAny, setOptional } from './grpc/metadata.ts';
export { ErrorCode } from './http2/errors.ts';
export { valueOf } from './http2/request_headers.ts';
export { type OpenCall, OpenCalls } from './grpc/open_calls.ts';
export { checkAdd, checkUse, Run } from './grpc/run.ts';
export { parseTimeout } from './grpc/timeout.ts';
export { createServer, type GrpcServer, type GrpcServerOptions } from './grpc/server.ts';
export type { Protocol, ServeWeb, WebCall, WebRequest, WebResponse } from './web.ts';
export { peerName, peerOf } from './net/connection_info.ts';
export { type ListenAddress, Listeners } from './net/listeners.ts';
export { ownerOf, type Place, Places } from './net/connections.ts';
export { handshakeTimeout, noResumption, type TlsFiles } from './net/tls_options.ts';
