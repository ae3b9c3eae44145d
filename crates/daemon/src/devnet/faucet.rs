//! The faucet: a fixed sum of ether or RLC for whoever asks. It exists on local networks only.

use std::{
    future::Future,
    net::{Ipv4Addr, SocketAddr},
};

use anyhow::Result;
use axum::{Router, extract::State, response::IntoResponse, routing::post};
use iexec_chain::{client::Chain, devnet::DevAccount, writer::ChainWriter};
use iexec_protocol::{
    U256,
    call::faucet::{Coin, Drip, Dripped},
};
use iexec_service::{CancellationToken, Json, Listener, Options, Problem, serve};

/// One ether, in wei.
const ETHER: u64 = 1_000_000_000_000_000_000;
/// A hundred RLC, in nRLC.
const RLC: u64 = 100_000_000_000;

/// Serves the faucet until `stop`.
pub(crate) async fn run(chain: &Chain, port: u16, stop: CancellationToken) -> Result<impl Future<Output = Result<()>>> {
    let source = chain.with_wallet(DevAccount::Deployer.wallet()?);
    let router = Router::new().route("/faucet", post(drip)).with_state(source);
    let listener = Listener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into()).await?;
    Ok(serve(listener, router, Options { cors: true, ..Options::default() }, stop))
}

async fn drip(State(source): State<ChainWriter>, Json(drip): Json<Drip>) -> Result<impl IntoResponse, Problem> {
    let (amount, sent) = match drip.coin {
        Coin::Ether => (ETHER, source.send_ether(drip.address, U256::from(ETHER)).await),
        Coin::Rlc => (RLC, source.send_rlc(drip.address, U256::from(RLC)).await),
    };
    let receipt = sent.map_err(Problem::unavailable)?;
    Ok(axum::Json(Dripped { amount: U256::from(amount), tx_hash: receipt.transaction }))
}
