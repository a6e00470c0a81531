export type {
  Abortable,
  Compressible,
  Connected,
  Counted,
  Dialled,
  Drainable,
  Retaining,
  Sending,
  Timed,
} from './grpc/context.ts';
export { broken } from './grpc/message_reader.ts';
export {
  BecomesTooMuch,
  decodeCounted,
  encodeFramed,
  type MessageRoom,
  prefixLength,
  withPrefix,
} from './grpc/methods.ts';
export { type OpenCall, OpenCalls } from './grpc/open_calls.ts';
export { checkAdd, checkUse, Run } from './grpc/run.ts';
export { createServer, type GrpcServer, type GrpcServerOptions } from './grpc/server.ts';
export { type AddedService, addedService, handlersOf } from './grpc/service_list.ts';
export { peerName, peerOf } from './net/connection_info.ts';
export { type ListenAddress, Listeners } from './net/listeners.ts';
export { ownerOf, type Place, Places } from './net/places.ts';
export { handshakeTimeout, noResumption, type TlsFiles } from './net/tls_options.ts';
