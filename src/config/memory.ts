/** What the limits of connections follow from. */
interface Given {
  /** Bytes that the process may have; undefined for enough. */
  memory: number | undefined;
  maxBufferedBytes: number;
  tlsCertFile: object | undefined;
  tlsClientCaFile: object | undefined;
  healthListen: readonly unknown[];
  maxConnections: number | undefined;
  maxHandshakes: number | undefined;
}

/** How many connections, and TLS handshakes, there can be at once. */
export interface ConnectionLimits {
  maxConnections: number;
  maxHandshakes: number;
}

const KiB = 1024;
const MiB = 1024 ** 2;

/**
 * A busy server comes to the limit of its heap before V8 has collected all that is garbage; that limit is
 * 60 % of the memory in the images. What connections take outside of the heap has to find room beside it.
 */
const heapPart = 0.6;
/** Outside of the heap: Node itself, and V8's young generation. */
const node = 36 * MiB;
/** The connections of the port for probes; see health_server.ts. */
const healthPort = 8 * MiB;
/** Outside of the heap, by an idle connection that has had a call, the kernel's part included. */
const plaintextConnection = 7 * KiB;
const tls = { connection: 80 * KiB, handshake: 64 * KiB };
/**
 * The same where clients show certificates. They may be of 100 KiB, as OpenSSL has it, and become 1.2 MiB then, or
 * 1.9 at the worst; what is kept of them is bounded in engine/net/client_chains.ts.
 */
const mutual = { connection: 128 * KiB, handshake: 512 * KiB };
/** Of what there is for connections, with TLS. */
const handshakesPart = 1 / 4;
/** Where memory is short there is still room for some, or nobody could use the server. */
const least = 8 * MiB;
const most = { connections: 15_000, handshakes: 256 };

/** What is set, and for the rest what the memory there is can bear beside all that may be buffered. */
export function connectionLimits({
  memory = Number.POSITIVE_INFINITY,
  maxBufferedBytes,
  tlsCertFile,
  tlsClientCaFile,
  healthListen,
  maxConnections,
  maxHandshakes,
}: Given): ConnectionLimits {
  const probes = healthListen.length > 0 ? healthPort : 0;
  const free = Math.max(least, memory * (1 - heapPart) - node - probes - maxBufferedBytes);
  const each = tlsClientCaFile ? mutual : tls;
  const handshakes = Math.min(
    most.handshakes,
    Math.floor((free * handshakesPart) / each.handshake),
  );
  const connections = tlsCertFile
    ? (free - handshakes * each.handshake) / each.connection
    : free / plaintextConnection;
  return {
    maxConnections: maxConnections ?? Math.min(most.connections, Math.floor(connections)),
    maxHandshakes: maxHandshakes ?? handshakes,
  };
}

/** What a call takes beside its messages: itself, and what frames and a stream's window hold. */
const besideMessages = 64 * KiB;

/**
 * What must fit, or a call of the largest messages ends RESOURCE_EXHAUSTED on a server that has no other:
 * streams have one message in use while the next one comes, and unary calls a response of the same size.
 */
export function leastBufferedBytes({
  maxMessageSize,
  maxHeaderSize,
}: {
  maxMessageSize: number;
  maxHeaderSize: number;
}): number {
  return 2 * maxMessageSize + maxHeaderSize + besideMessages;
}

interface MachineMemory {
  /** What Node says of the container: 0 or undefined where there is no limit, or more than any machine has. */
  constrained: number | undefined;
  /** That of the machine. */
  total: number;
}

/** The bytes that a process may have: its container's, where they are fewer than the machine's. */
export function memoryOf({ constrained, total }: MachineMemory): number {
  return Math.min(constrained || Number.POSITIVE_INFINITY, total);
}
