/** Why we answer otherwise than one of the others, by the name that differences.tsv has for it. */
export const reasons: Readonly<Record<string, string>> = {
  'closed-data':
    'DATA for a stream that is over is told STREAM_CLOSED (RFC 9113 section 5.1), so that a client that goes on hears of it. nghttp2 passes it over.',
  'closed-headers':
    'HEADERS for a stream that is over, or was left out (section 5.1.1), are an error of the connection: STREAM_CLOSED by section 5.1, where Go says PROTOCOL_ERROR by section 5.1.1. nghttp2 passes them over, and Go takes a stream for new that it has reset before it opened it. Where the block is wrong, too, either error may be told.',
  'half-closed':
    'Section 5.1: a frame after END_STREAM is an error of the stream, STREAM_CLOSED. nghttp2 ends the connection, which section 5.4.1 allows. Where HEADERS depend on themselves, too, either error may be told.',
  'our-reset':
    'Frames for a stream that we have reset were on their way before the client knew, and are passed over (section 5.1, "closed"; section 5.4.2), whether the stream was open, refused as malformed, or answered before its end. Go has no memory of streams that it has refused, and Node keeps one open that it has answered.',
  early:
    'Section 8.1: an answer that is whole before its request ends with RST_STREAM of NO_ERROR, so that the client need not send the rest. Node lets it send.',
  'cut-short':
    'A frame that is too small for what it must have is an error of the connection, FRAME_SIZE_ERROR (section 4.2). Where it is also for a stream that cannot have it, PROTOCOL_ERROR is as right. nghttp2 says PROTOCOL_ERROR for padding without its length, and Go closes without a word.',
  padding:
    'Padding that is longer than its frame is an error of the connection, PROTOCOL_ERROR, whatever the stream (sections 6.1 and 6.2). nghttp2 does not look at frames for streams that are over; Go ends the stream alone where it is HEADERS.',
  'priority-size':
    'Section 6.3: PRIORITY of another length than 5 is an error of the stream, FRAME_SIZE_ERROR. The others end the connection.',
  'priority-self':
    'A stream that depends on itself is an error of the stream, PROTOCOL_ERROR (RFC 7540 section 5.3.1; RFC 9113 section 5.3.2 keeps the frames and not their meaning, so that nghttp2 may ignore it). A stream that is idle cannot be reset (section 6.4), so there it ends the connection; Go resets it all the same.',
  'priority-zero':
    'Section 6.3: PRIORITY for stream 0 is an error of the connection, PROTOCOL_ERROR; with another length, either error may be told. nghttp2 ignores it.',
  'window-zero':
    'Section 6.9: a WINDOW_UPDATE by 0 is an error of the stream, PROTOCOL_ERROR; nghttp2 ends the connection. For a stream that is over it is passed over as every WINDOW_UPDATE (section 5.1), and for one that is idle it is an error of the connection (section 5.1); Go resets either.',
  'window-above':
    'Section 6.9.1: a window of a stream above 2^31 - 1, or DATA beyond one, ends the stream, and section 6.9.2: SETTINGS that make one so end the connection, FLOW_CONTROL_ERROR. nghttp2 ends the connection for any. Go finds what SETTINGS have done when it has something to send; where one frame sets the window there and back, it looks at the last value alone as we do, but takes no setting twice.',
  'window-none':
    'An empty DATA frame needs no window (section 6.9), so that an answer without a body ends whatever the window. Node waits for one.',
  'priority-update':
    'PRIORITY_UPDATE (RFC 9218 section 7.1) is for servers that order by it. We do not, say so by not announcing it, and ignore it as any type that is unknown (RFC 9113 section 5.5).',
  'unknown-settings':
    'SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 8441) and SETTINGS_NO_RFC7540_PRIORITIES (RFC 9218) mean nothing to us: unknown settings are ignored, whatever they say (RFC 9113 section 6.5.2).',
  settings:
    'Values are taken in their order, each held against its range (section 6.5.3), and nothing keeps a client from sending one twice. An acknowledgement of nothing does no harm, and counts for the limit of control frames. nghttp2 takes at most 32 entries, and of the same setting the last; Go takes none twice.',
  'ping-ack':
    'An answer to no PING of ours does no harm (section 6.7), and counts for the limit of control frames. Node ends the connection with INTERNAL_ERROR.',
  goaway:
    "A client's GOAWAY says that it takes no more streams of ours, and we open none (section 6.8). It may go on with its own, and ends the connection when it is done. The others leave in their turn; nghttp2 checks the last stream, which means nothing where there is no push.",
  preface:
    'Section 3.4: a wrong preface is an error of the connection, PROTOCOL_ERROR, and GOAWAY may be left out. To clients of HTTP/1.1 and of TLS, which cannot read it, we say nothing of HTTP/2. The first frame is SETTINGS, and its ACK is not.',
  refused:
    'Section 5.1.2: a stream more than we allow is refused with REFUSED_STREAM, after which a client may try again (section 8.7); PROTOCOL_ERROR, as the others have it, would say that it must not. What still comes for that stream is passed over, and its header block has been read.',
  'swift-reset':
    'Node counts what is open in its own objects, which a reset leaves a moment later, and refuses the stream that takes the place. We count streams (section 5.1.2).',
  continuation:
    'Section 6.10 sets no bound on CONTINUATION frames; ours is 128 in a block, each of which may be small. nghttp2 takes 8.',
  'hpack-resize':
    'RFC 7541 section 4.2: the size of the table changes at the beginning of a block, and elsewhere it is COMPRESSION_ERROR (RFC 9113 section 4.3). Go takes one after a field, too.',
  'two-errors':
    'Two rules are broken, and either error may be told (section 5.4); the connection ends in any case.',
  names:
    'Section 8.2.1: a field whose name has an octet that none may have makes a request malformed. nghttp2 leaves the field out and goes on. What RFC 9110 section 5.1 keeps out beyond that, such as "(", Go takes for malformed as well; section 8.2.1 asks for less, and nothing can be smuggled by it.',
  values:
    'Section 8.2.1: NUL, CR and LF in a value make a request malformed, in trailers as well. nghttp2 leaves the field out and goes on. Other control characters Go takes for malformed as well; section 8.2.1 does not ask for that.',
  pseudo:
    'Section 8.3.1 asks for a method, a scheme and a path, each once and none empty. What a path, a method or an authority means is for whoever serves it: gRPC answers UNIMPLEMENTED for a path that is no method, and 405 for another method than POST. Their syntax (RFC 3986) is not looked at, but for NUL, CR and LF; nghttp2 and Go look at some of it, and nghttp2 at white space. ":authority" may be left out, and "host" then as well.',
  host: 'Section 8.3.1: "host" that says otherwise than ":authority" should be malformed. gRPC has it ignored where ":authority" is there (grpc/proposal A41), and nothing here routes by either. More than one is for HTTP/1.1 to refuse (RFC 9112 section 3.2).',
  connect:
    'CONNECT (section 8.5) is for proxies. We take no tunnel, so that it is reset like a request that is malformed, which with a path or a scheme it is.',
  'connection-fields':
    'Section 8.2.2: fields of the connection, and "te" other than "trailers", make a request malformed, in trailers as well, and that is an error of the stream, PROTOCOL_ERROR (section 8.1.1). Go answers 400, and does not look at those of trailers. "Trailers" means the same (RFC 9110 section 10.1.4).',
  'content-length':
    'Section 8.1.1: a body of another length than "content-length" says makes a request malformed, PROTOCOL_ERROR, and so does one that is no number, or comes twice (RFC 9110 section 8.6 allows for either there). Node ends the connection for a body that is too long; Go tells the handler alone of one that is too short, and takes what is no number for none. White space around a number is taken off, as around other values. In trailers it says nothing of the body (RFC 9110 section 6.5.1).',
  'large-list':
    'A header list above SETTINGS_MAX_HEADER_LIST_SIZE is answered with 431 (RFC 9113 section 10.5.1, RFC 6585 section 5), and its block is read for the sake of the next. Node resets it, and one of more than 128 fields; Go ends the connection where it is twice as large.',
};
