/** What `rpc.method` says of a method that is not served; `rpc.method_original` has what was asked for then. */
export const otherMethod = '_OTHER';

/** A method as OpenTelemetry's `rpc.method` has it, `package.Service/Method`, from its path. */
export function methodName(path: string): string {
  return path.startsWith('/') ? path.slice(1) : path;
}
