//! The greet guide's calls of all four kinds, with the method names of family A.

use tokio::sync::mpsc;
use tokio_stream::{StreamExt, iter, wrappers::ReceiverStream};
use tonic::transport::Channel;

use crate::report::{Outcome, Report, same};
use greet::{HelloRequest, greeter_client::GreeterClient};

mod greet {
    tonic::include_proto!("greet");
}

type Client = GreeterClient<Channel>;

/// Calls each method once.
pub async fn run(channel: &Channel, report: &mut Report) {
    let client = GreeterClient::new(channel.clone());
    report.test("SayHello", say_hello(client.clone())).await;
    report.test("ParrotSayHello", parrot(client.clone())).await;
    report.test("ChattyClientSayHello", chatty(client.clone())).await;
    report.test("InteractiveSayHello", interactive(client)).await;
}

async fn say_hello(mut client: Client) -> Outcome {
    let reply = client.say_hello(bello("Keys")).await?.into_inner();
    same(reply.message.as_str(), "Bello Keys!")
}

async fn parrot(mut client: Client) -> Outcome {
    let replies = client.parrot_say_hello(bello("Keys")).await?.into_inner();
    let replies: Vec<_> = replies.collect::<Result<_, _>>().await?;
    let said: Vec<_> = replies.iter().map(|reply| reply.message.as_str()).collect();
    same(said, vec!["Bello Keys 1!", "Bello Keys 2!", "Bello Keys 3!"])
}

async fn chatty(mut client: Client) -> Outcome {
    let sent = vec![bello("Keys"), bello("世界"), bello("")];
    let reply = client.chatty_client_say_hello(iter(sent.clone())).await?.into_inner();
    same(reply.request, sent)?;
    same(reply.message.as_str(), "You have sent 3 messages! Please expect a delayed response...")
}

async fn interactive(mut client: Client) -> Outcome {
    let (send, requests) = mpsc::channel(1);
    let requests = ReceiverStream::new(requests);
    // The server sends the response headers with the first reply.
    send.send(bello("Keys")).await?;
    let mut replies = client.interactive_say_hello(requests).await?.into_inner();
    for (name, next) in [("Keys", Some("世界")), ("世界", Some("")), ("", None)] {
        let reply = replies.message().await?.ok_or("no reply")?;
        same(reply.message, format!("Bello {name}!"))?;
        // Waits for the reply before the next request.
        if let Some(next) = next {
            send.send(bello(next)).await?;
        }
    }
    drop(send);
    same(replies.message().await?.is_none(), true)
}

fn bello(name: &str) -> HelloRequest {
    HelloRequest { greeting: "Bello".into(), name: name.into() }
}
