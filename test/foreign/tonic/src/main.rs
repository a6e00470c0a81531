//! Tests a server with tonic: `tonic_client URL [CA_PEM NAME]`, with TLS if a CA is given. Prints a line
//! for each test, and exits with 0 if all passed.

mod greeter;
mod report;
mod sizes;
mod test_service;

use std::{env, error::Error, fs, process::ExitCode, time::Duration};

use report::Report;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

/// The maximum duration of a call.
const BOUND: Duration = Duration::from_secs(20);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let channel = connect(&arguments).await?;
    let mut report = Report::default();
    greeter::run(&channel, &mut report).await;
    test_service::run(&channel, &mut report).await;
    sizes::run(&channel, &mut report).await;
    Ok(report.exit_code())
}

async fn connect(arguments: &[String]) -> Result<Channel, Box<dyn Error>> {
    let endpoint = match arguments {
        [url] => Endpoint::new(url.clone())?,
        [url, authority, name] => {
            let authority = Certificate::from_pem(fs::read(authority)?);
            let tls = ClientTlsConfig::new().ca_certificate(authority).domain_name(name);
            Endpoint::new(url.clone())?.tls_config(tls)?
        }
        _ => return Err("usage: tonic_client URL [CA_PEM NAME]".into()),
    };
    Ok(endpoint.timeout(BOUND).connect_timeout(BOUND).connect().await?)
}
