import { compressionNegotiate } from '@connectrpc/connect/protocol';
import { valueOf } from '../engine/index.ts';
import { type Compression, compressions, known } from './compression.ts';

/** The compressions of a request and of its response. */
export interface Negotiated {
  request: Compression | undefined;
  /** Chooses that of the response, which small responses do not need. */
  response(): Compression | undefined;
}

/** Finds the compressions by the fields with these names; undefined if that of the request is unknown. */
export function negotiate(
  fields: readonly string[],
  { encoding, accepted }: { encoding: string; accepted: string },
): Negotiated | undefined {
  const requested = valueOf(fields, encoding);
  const isPlain = requested === undefined || requested === 'identity';
  const request = isPlain ? undefined : named(requested);
  if (!isPlain && !request) return undefined;
  return {
    request,
    response() {
      const names = valueOf(fields, accepted) ?? null;
      const { response } = compressionNegotiate(known, request?.name ?? null, names, accepted);
      return response ? named(response.name) : undefined;
    },
  };
}

function named(name: string): Compression | undefined {
  return compressions.find((each) => each.name === name);
}
