/** The `rpc.method` of unknown methods; `rpc.method_original` has the requested name. */
export const otherMethod = '_OTHER';

/** OpenTelemetry's `rpc.method`, `package.Service/Method`, for a path. */
export function methodName(path: string): string {
  return path.startsWith('/') ? path.slice(1) : path;
}
