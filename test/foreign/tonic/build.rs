//! Generates stubs from the descriptor set in the file that CONTRACTS names; buf writes it.

use std::{env, error::Error, fs};

use prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-env-changed=CONTRACTS");
    let contracts = env::var("CONTRACTS")?;
    println!("cargo::rerun-if-changed={contracts}");
    let files = prost_types::FileDescriptorSet::decode(&*fs::read(contracts)?)?;
    tonic_prost_build::configure().build_server(false).compile_fds(files)?;
    Ok(())
}
