//! Calls each method of grpc.testing.TestService once, and creates its requests.

use tokio_stream::{StreamExt, iter};
use tonic::{Code, transport::Channel};

use crate::report::{Outcome, Report, same};
use testing::{
    EchoStatus, Empty, Payload, ResponseParameters, SimpleRequest, StreamingInputCallRequest,
    StreamingOutputCallRequest, StreamingOutputCallResponse,
};

pub mod testing {
    #![allow(dead_code)]
    tonic::include_proto!("grpc.testing");
}

/// Creates a client that accepts responses of any size.
pub type Client = testing::test_service_client::TestServiceClient<Channel>;

const SIZES: [usize; 3] = [31_415, 9, 2_653];

/// Calls each method once.
pub async fn run(channel: &Channel, report: &mut Report) {
    let client = client_of(channel);
    report.test("EmptyCall", empty_call(client.clone())).await;
    report.test("UnaryCall", unary_call(client.clone())).await;
    report.test("UnaryCall with a status", status(client.clone())).await;
    report.test("StreamingInputCall", streaming_input_call(client.clone())).await;
    report.test("StreamingOutputCall", streaming_output_call(client.clone())).await;
    report.test("FullDuplexCall", full_duplex_call(client.clone())).await;
    report.test("HalfDuplexCall", half_duplex_call(client.clone())).await;
    report.test("UnimplementedCall", unimplemented_call(client)).await;
}

pub fn client_of(channel: &Channel) -> Client {
    Client::new(channel.clone()).max_decoding_message_size(usize::MAX)
}

async fn empty_call(mut client: Client) -> Outcome {
    same(client.empty_call(Empty {}).await?.into_inner(), Empty {})
}

async fn unary_call(mut client: Client) -> Outcome {
    let request =
        SimpleRequest { response_size: 314_159, payload: zeros(271_828), ..Default::default() };
    let response = client.unary_call(request).await?.into_inner();
    same(length(response.payload), 314_159)
}

async fn status(mut client: Client) -> Outcome {
    let asked = EchoStatus { code: 2, message: "\t\ntest with 世界 ☺\r\n".into() };
    let request = SimpleRequest { response_status: Some(asked.clone()), ..Default::default() };
    let status = client.unary_call(request).await.err().ok_or("no error")?;
    same((status.code(), status.message()), (Code::Unknown, asked.message.as_str()))
}

async fn streaming_input_call(mut client: Client) -> Outcome {
    let requests =
        SIZES.map(|size| StreamingInputCallRequest { payload: zeros(size), ..Default::default() });
    let response = client.streaming_input_call(iter(requests)).await?.into_inner();
    same(response.aggregated_payload_size, i32::try_from(SIZES.iter().sum::<usize>())?)
}

async fn streaming_output_call(mut client: Client) -> Outcome {
    let responses = client.streaming_output_call(asking(None, &SIZES)).await?.into_inner();
    same(lengths(responses).await?, SIZES.into())
}

async fn full_duplex_call(mut client: Client) -> Outcome {
    let requests = SIZES.map(|size| asking(zeros(size), &[size, 1]));
    let responses = client.full_duplex_call(iter(requests)).await?.into_inner();
    same(lengths(responses).await?, SIZES.iter().flat_map(|&size| [size, 1]).collect())
}

async fn half_duplex_call(mut client: Client) -> Outcome {
    let requests = SIZES.map(|size| asking(None, &[size]));
    let responses = client.half_duplex_call(iter(requests)).await?.into_inner();
    same(lengths(responses).await?, SIZES.into())
}

async fn unimplemented_call(mut client: Client) -> Outcome {
    let status = client.unimplemented_call(Empty {}).await.err().ok_or("no error")?;
    same(status.code(), Code::Unimplemented)
}

/// Creates a request with a payload that asks for responses of these sizes.
pub fn asking(payload: Option<Payload>, sizes: &[usize]) -> StreamingOutputCallRequest {
    let parameters = |&size: &usize| ResponseParameters { size: size as i32, ..Default::default() };
    StreamingOutputCallRequest {
        payload,
        response_parameters: sizes.iter().map(parameters).collect(),
        ..Default::default()
    }
}

/// Creates a payload of `size` bytes; none for 0.
pub fn zeros(size: usize) -> Option<Payload> {
    (size > 0).then(|| Payload { body: vec![0; size], ..Default::default() })
}

/// Returns the size of a payload in bytes.
pub fn length(payload: Option<Payload>) -> usize {
    payload.map_or(0, |payload| payload.body.len())
}

/// Returns the payload sizes of all responses of a stream.
pub async fn lengths(
    responses: tonic::Streaming<StreamingOutputCallResponse>,
) -> Result<Vec<usize>, tonic::Status> {
    responses.map(|response| response.map(|each| length(each.payload))).collect().await
}
