/** A section of docs/http2.md that explains a group of differences. */
interface Reason {
  title: string;
  text: string;
}

/** The reasons for differences, by their names in differences.tsv. */
export const reasons: Readonly<Record<string, Reason>> = {
  'closed-data': {
    title: 'DATA on a closed stream',
    text: 'The engine answers DATA on a closed stream with STREAM_CLOSED (RFC 9113 section 5.1), so that the client notices. nghttp2 ignores it.',
  },
  'closed-headers': {
    title: 'HEADERS on a closed stream',
    text: 'HEADERS on a closed or skipped stream (section 5.1.1) are a connection error. The engine reports STREAM_CLOSED (section 5.1), Go PROTOCOL_ERROR (section 5.1.1). nghttp2 ignores them, and Go opens a stream that it has reset before. If the header block is invalid as well, either error is correct.',
  },
  'half-closed': {
    title: 'Frames after END_STREAM',
    text: 'A frame after END_STREAM is a stream error, STREAM_CLOSED (section 5.1). nghttp2 ends the connection, which section 5.4.1 allows. If HEADERS also depend on their own stream, either error is correct.',
  },
  'our-reset': {
    title: 'Frames after a reset by the server',
    text: 'The client may have sent frames before it received RST_STREAM, so the engine ignores frames on a stream that it has reset (section 5.1, "closed"; section 5.4.2), whether the stream was open, malformed, or answered early. Go does not remember streams that it has refused, and Node keeps a stream open that it has answered.',
  },
  early: {
    title: 'A response before the end of its request',
    text: 'After a response that is complete before its request, the engine sends RST_STREAM with NO_ERROR (section 8.1), so that the client need not send the rest. Node lets the client continue.',
  },
  'cut-short': {
    title: 'Truncated frames',
    text: 'A frame that is too short for its mandatory fields is a connection error, FRAME_SIZE_ERROR (section 4.2). If its stream is invalid as well, PROTOCOL_ERROR is equally correct. nghttp2 reports PROTOCOL_ERROR if the padding length is missing, and Go closes the connection without GOAWAY.',
  },
  padding: {
    title: 'Invalid padding',
    text: 'Padding that exceeds its frame is a connection error, PROTOCOL_ERROR, whatever the stream (sections 6.1 and 6.2). nghttp2 does not examine frames on closed streams, and for HEADERS Go only ends the stream.',
  },
  'priority-size': {
    title: 'PRIORITY of the wrong length',
    text: 'PRIORITY of a length other than 5 is a stream error, FRAME_SIZE_ERROR (section 6.3). The others end the connection.',
  },
  'priority-self': {
    title: 'A stream that depends on itself',
    text: 'A stream that depends on itself is a stream error, PROTOCOL_ERROR (RFC 7540 section 5.3.1). RFC 9113 section 5.3.2 deprecates priorities, so nghttp2 may ignore it. An idle stream cannot be reset (section 6.4), so there the engine ends the connection; Go resets the idle stream.',
  },
  'priority-zero': {
    title: 'PRIORITY on stream 0',
    text: 'PRIORITY on stream 0 is a connection error, PROTOCOL_ERROR (section 6.3). If its length is wrong as well, either error is correct. nghttp2 ignores it.',
  },
  'window-zero': {
    title: 'WINDOW_UPDATE with an increment of 0',
    text: 'WINDOW_UPDATE with an increment of 0 is a stream error, PROTOCOL_ERROR (section 6.9); nghttp2 ends the connection. On a closed stream the engine ignores it like any WINDOW_UPDATE, and on an idle stream it is a connection error (section 5.1); Go resets both.',
  },
  'window-above': {
    title: 'Flow-control windows that overflow',
    text: 'A stream window above 2^31 - 1 and DATA beyond the window are stream errors (section 6.9.1); SETTINGS that make a window overflow are a connection error (section 6.9.2); all are FLOW_CONTROL_ERROR. nghttp2 ends the connection for each of them. Go notices an overflow by SETTINGS only when it sends. If one frame sets the window above the maximum and back, the engine and Go only apply the last value, but Go does not accept a setting twice.',
  },
  'window-none': {
    title: 'An empty response and a window of 0',
    text: 'An empty DATA frame needs no window (section 6.9), so a response without a body ends whatever the window. Node waits for a window.',
  },
  'priority-update': {
    title: 'PRIORITY_UPDATE',
    text: 'PRIORITY_UPDATE (RFC 9218 section 7.1) is for servers that prioritize by it. The engine does not announce that, and ignores the frame like any unknown type (RFC 9113 section 5.5).',
  },
  'unknown-settings': {
    title: 'Unknown settings',
    text: 'The engine does not use SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 8441) and SETTINGS_NO_RFC7540_PRIORITIES (RFC 9218), and ignores unknown settings whatever their values (RFC 9113 section 6.5.2).',
  },
  settings: {
    title: 'Repeated settings and acknowledgements',
    text: 'The engine applies settings in order and validates each value (section 6.5.3); a client may send a setting twice. An ACK without SETTINGS is harmless, and counts against the limit of control frames. nghttp2 accepts at most 32 entries, and only validates the last value of a setting; Go accepts no setting twice.',
  },
  'ping-ack': {
    title: 'PING ACK without PING',
    text: 'An ACK without PING is harmless (section 6.7), and counts against the limit of control frames. Node ends the connection with INTERNAL_ERROR.',
  },
  goaway: {
    title: 'GOAWAY from the client',
    text: "A client's GOAWAY says that it accepts no more streams from the server, which opens none (section 6.8). The client may still open streams, and closes the connection when it is done. The others answer with GOAWAY. nghttp2 also validates the last stream identifier, which has no meaning without server push.",
  },
  preface: {
    title: 'Invalid prefaces',
    text: 'An invalid preface is a connection error, PROTOCOL_ERROR, and GOAWAY may be omitted (section 3.4). The engine sends no HTTP/2 to HTTP/1.1 and TLS clients, which could not read it. The first frame must be SETTINGS, not its ACK.',
  },
  refused: {
    title: 'Too many streams',
    text: 'A stream above the limit is refused with REFUSED_STREAM (section 5.1.2), after which a client may retry (section 8.7). PROTOCOL_ERROR, as the others send, means that it must not. The engine decodes the header block of that stream, and ignores its further frames.',
  },
  'swift-reset': {
    title: 'A new stream right after a reset',
    text: 'The engine counts open streams by their state (section 5.1.2). Node counts its own objects, which outlive a reset for a moment, and refuses a stream that replaces one that was reset.',
  },
  continuation: {
    title: 'Many CONTINUATION frames',
    text: "Section 6.10 does not limit CONTINUATION frames. The engine's limit is 128 frames per header block, which may be small; nghttp2's is 8.",
  },
  'hpack-resize': {
    title: 'A dynamic table size update after a field',
    text: 'A dynamic table size update is allowed at the beginning of a header block only (RFC 7541 section 4.2); elsewhere it is COMPRESSION_ERROR (RFC 9113 section 4.3). Go also accepts it after a field.',
  },
  'two-errors': {
    title: 'Two errors at once',
    text: 'If two rules are broken, either error may be reported (section 5.4). The connection or the stream ends in any case.',
  },
  names: {
    title: 'Field names with invalid characters',
    text: 'An invalid octet in a field name makes a request malformed (section 8.2.1). nghttp2 drops the field and continues. Go also rejects what is not a token by RFC 9110 section 5.1, such as "("; section 8.2.1 does not require that, and such names allow no request smuggling.',
  },
  values: {
    title: 'Field values with invalid characters',
    text: 'NUL, CR and LF in a field value make a request malformed (section 8.2.1), in trailers as well. nghttp2 drops the field and continues. Go also rejects other control characters, which section 8.2.1 does not require.',
  },
  pseudo: {
    title: 'Pseudo-header fields',
    text: 'A request must have a method, a scheme and a path, each once and not empty (section 8.3.1). The engine leaves their meaning to the application: gRPC answers UNIMPLEMENTED for an unknown path, and 405 for a method other than POST. It does not validate their syntax (RFC 3986) except for NUL, CR and LF; nghttp2 and Go validate parts of it, and nghttp2 also rejects white space. ":authority" may be omitted, and so may "host".',
  },
  host: {
    title: 'host and :authority',
    text: 'Section 8.3.1 recommends rejecting a "host" that differs from ":authority". gRPC ignores "host" if there is an ":authority" (gRFC A41), and the server routes by neither. A repeated "host" is an error in HTTP/1.1 (RFC 9112 section 3.2).',
  },
  connect: {
    title: 'CONNECT',
    text: 'CONNECT (section 8.5) is for proxies. The engine opens no tunnels, and resets it like a malformed request. With a path or a scheme, it is one.',
  },
  'connection-fields': {
    title: 'Connection-specific fields',
    text: 'Connection-specific fields, and "te" other than "trailers", make a request malformed, in trailers as well (section 8.2.2): a stream error, PROTOCOL_ERROR (section 8.1.1). Go answers 400, and does not check trailers. The value is case-insensitive (RFC 9110 section 10.1.4).',
  },
  'content-length': {
    title: 'content-length',
    text: 'A body whose length differs from "content-length" makes a request malformed, PROTOCOL_ERROR (section 8.1.1). So does a value that is not a number, and a repeated field, for which RFC 9110 section 8.6 leaves the choice. Node ends the connection if the body is too long. Go reports a body that is too short to the handler only, and ignores invalid values. The engine strips white space around the value, as around others, and ignores the field in trailers (RFC 9110 section 6.5.1).',
  },
  'large-list': {
    title: 'Large header lists',
    text: 'A header list above SETTINGS_MAX_HEADER_LIST_SIZE is answered with 431 (RFC 9113 section 10.5.1, RFC 6585 section 5), or with RESOURCE_EXHAUSTED if the request is a gRPC call, and its block is decoded to keep the dynamic table in sync. Node resets the stream, also for more than 128 fields. Go ends the connection if the list is more than twice as large.',
  },
};
