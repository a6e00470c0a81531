//! All four kinds of calls, with messages of sizes around every limit.

use prost::Message;
use tokio_stream::iter;
use tonic::{Code, Status, transport::Channel};

use crate::report::{Outcome, Report, same};
use crate::test_service::testing::{
    Payload, SimpleRequest, StreamingInputCallRequest, StreamingOutputCallResponse,
};
use crate::test_service::{Client, asking, client_of, length, lengths, zeros};

/// The server's maximum request size in bytes.
const LIMIT: usize = 4 << 20;
/// Sizes around the limits: the prefix has 5 bytes, a frame up to 16,384, and a window 65,535.
const SIZES: [usize; 14] = [
    0,
    5,
    16_378,
    16_379,
    16_380,
    16_384,
    32_763,
    65_529,
    65_530,
    65_531,
    65_535,
    65_536,
    LIMIT - 1,
    LIMIT,
];
const KINDS: [Kind; 4] = [Kind::Unary, Kind::ClientStream, Kind::ServerStream, Kind::Bidirectional];

#[derive(Clone, Copy, Debug)]
enum Kind {
    Unary,
    ClientStream,
    ServerStream,
    Bidirectional,
}

/// Sends requests of each encoded size. Expects payloads of that size, or the status above the limit.
pub async fn run(channel: &Channel, report: &mut Report) {
    for kind in KINDS {
        for size in SIZES {
            let call = call(kind, client_of(channel), size);
            report.test(&format!("{kind:?} of {size} bytes"), async { call.await? }).await;
        }
        let refused = refused(kind, client_of(channel));
        report.test(&format!("{kind:?} of {} bytes", LIMIT + 1), refused).await;
    }
}

async fn refused(kind: Kind, client: Client) -> Outcome {
    let status = call(kind, client, LIMIT + 1).await.err().ok_or("no error")?;
    same(status.code(), Code::ResourceExhausted)
}

/// Returns the status of a failed call, or else whether its responses are the expected ones.
async fn call(kind: Kind, mut client: Client, size: usize) -> Result<Outcome, Status> {
    let back = answer(size);
    Ok(match kind {
        Kind::Unary => {
            let filled = |payload| SimpleRequest {
                payload,
                response_size: back as i32,
                ..Default::default()
            };
            let response = client.unary_call(fitting(size, filled)).await?.into_inner();
            same(length(response.payload), back)
        }
        Kind::ClientStream => {
            let filled = |payload| StreamingInputCallRequest { payload, ..Default::default() };
            let request = fitting(size, filled);
            let sent = 2 * length(request.payload.clone());
            let response =
                client.streaming_input_call(iter([request.clone(), request])).await?.into_inner();
            same(response.aggregated_payload_size as usize, sent)
        }
        Kind::ServerStream => {
            let request = fitting(size, |payload| asking(payload, &[back, back]));
            let responses = client.streaming_output_call(request).await?.into_inner();
            same(lengths(responses).await?, vec![back; 2])
        }
        Kind::Bidirectional => {
            let request = fitting(size, |payload| asking(payload, &[back]));
            let responses =
                client.full_duplex_call(iter([request.clone(), request])).await?.into_inner();
            same(lengths(responses).await?, vec![back; 2])
        }
    })
}

/// Returns the payload size of a streamed response of `size` encoded bytes.
fn answer(size: usize) -> usize {
    let response = fitting(size.min(LIMIT), |payload| StreamingOutputCallResponse {
        payload,
        ..Default::default()
    });
    length(response.payload)
}

/// Returns the message with the largest payload whose encoding has at most `size` bytes. For small
/// sizes, which no message has, it has no payload.
fn fitting<T: Message>(size: usize, filled: impl Fn(Option<Payload>) -> T) -> T {
    (0..=size)
        .rev()
        .map(|payload| filled(zeros(payload)))
        .find(|message| message.encoded_len() <= size)
        .unwrap_or_else(|| filled(None))
}
