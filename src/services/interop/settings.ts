import { onOff } from '../../config/parse.ts';
import type { Read } from '../../config/setting.ts';

/** The setting of the interop services. */
export function readInteropSettings(read: Read) {
  return {
    interop: read('interop', {
      value: 'on|off',
      fallback: 'on',
      help: "serves grpc.testing.TestService, gRPC's official interop test service",
      parse: onOff,
    }),
  };
}
