import { compressionNegotiate } from '@connectrpc/connect/protocol';
import { valueOf } from '../engine/index.ts';
import { type Compression, compressions, known } from './compression.ts';

interface Negotiated {
  /** True if the compression of the request is unknown. */
  isUnknown: boolean;
  request: Compression | undefined;
  response: Compression | undefined;
}

/** Chooses the compressions of a request and of its response by the fields with these names. */
export function negotiate(
  fields: readonly string[],
  { encoding, accepted }: { encoding: string; accepted: string },
): Negotiated {
  const { request, response, error } = compressionNegotiate(
    known,
    valueOf(fields, encoding) ?? null,
    valueOf(fields, accepted) ?? null,
    accepted,
  );
  return {
    isUnknown: error !== undefined,
    request: named(request?.name),
    response: named(response?.name),
  };
}

function named(name: string | undefined): Compression | undefined {
  return compressions.find((each) => each.name === name);
}
