//! One transaction: tried, signed, sent, mined.
//!
//! It is first run as a call, so that a refusal costs nothing and has a reason; then it gets its nonce, under a lock per
//! account, and is sent; then its receipt is waited for. When an answer is lost the same signed bytes are sent again: they
//! have the same hash, so nothing can happen twice.

use std::time::{Duration, Instant};

use alloy::consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy::eips::eip2718::Encodable2718;
use alloy::network::TransactionBuilder;
use alloy::primitives::{Address, B256, Bytes, Signature, TxKind, U256};
use alloy::providers::Provider;
use alloy::rpc::types::{TransactionReceipt, TransactionRequest};
use iexec_protocol::key::KeyError;

use crate::client::{Answer, Chain, Turn};
use crate::error::ChainError;
use crate::wallet::Wallet;

/// How long a transaction may take until it is mined.
pub const MINING_TIMEOUT: Duration = Duration::from_mins(3);
/// How often a nonce that another process took first is drawn again.
const NONCE_ATTEMPTS: u32 = 8;
/// How often signed bytes are sent again when the answer is lost.
const SEND_ATTEMPTS: u32 = 5;

/// Who sends: a wallet on a chain, and the lock that it shares with every other sender of the same account.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    pub(crate) chain: Chain,
    pub(crate) wallet: Wallet,
    pub(crate) turn: Turn,
    pub(crate) confirmations: u64,
}

/// What is sent, and what errors call it.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) call: &'static str,
    pub(crate) to: Address,
    pub(crate) input: Bytes,
    pub(crate) value: U256,
}

impl Sender {
    /// Sends and waits until it is mined under the asked number of blocks.
    pub(crate) fn transact(&self, outgoing: Outgoing) -> Answer<'_, TransactionReceipt> {
        Box::pin(async move {
            let call = outgoing.call;
            let unsigned = self.prepare(outgoing).await?;
            let transaction = self.submit(call, unsigned).await?;
            self.mined(call, transaction).await
        })
    }

    async fn prepare(&self, outgoing: Outgoing) -> Result<TxEip1559, ChainError> {
        let Outgoing { call, to, input, value } = outgoing;
        let request = TransactionRequest::default()
            .with_from(self.wallet.address())
            .with_to(to)
            .with_input(input.clone())
            .with_value(value);
        let provider = self.chain.provider();
        let gas = self.chain.timed(call, async { provider.estimate_gas(request).await }).await?;
        let fees = self.chain.timed("eth_feeHistory", provider.estimate_eip1559_fees()).await?;
        Ok(TxEip1559 {
            chain_id: self.chain.chain_id(),
            // The state may have moved on until it is mined: a fifth more than the estimate.
            gas_limit: gas.saturating_add(gas / 5),
            max_fee_per_gas: fees.max_fee_per_gas,
            max_priority_fee_per_gas: fees.max_priority_fee_per_gas,
            to: TxKind::Call(to),
            value,
            input,
            ..TxEip1559::default()
        })
    }

    /// Takes the account's turn and its next nonce. The turn ends as soon as the node holds the transaction.
    async fn submit(&self, call: &'static str, mut unsigned: TxEip1559) -> Result<B256, ChainError> {
        let _turn = self.turn.lock().await;
        let mut attempt = 1;
        loop {
            let address = self.wallet.address();
            let pending = async { self.chain.provider().get_transaction_count(address).pending().await };
            unsigned.nonce = self.chain.timed("eth_getTransactionCount", pending).await?;
            let signed = sign(&self.wallet, unsigned.clone())
                .map_err(|cause| ChainError::Signing { call, cause: cause.to_string() })?;
            match self.send(call, &signed).await {
                Err(ChainError::Refused { message, .. }) if attempt < NONCE_ATTEMPTS && nonce_taken(&message) => {
                    attempt += 1;
                }
                sent => return sent,
            }
        }
    }

    async fn send(&self, call: &'static str, signed: &TxEnvelope) -> Result<B256, ChainError> {
        let raw = signed.encoded_2718();
        let mut attempt = 1;
        loop {
            let sent = async { self.chain.provider().send_raw_transaction(&raw).await.map(|_| ()) };
            match self.chain.timed(call, sent).await {
                Err(lost) if lost.is_transient() && attempt < SEND_ATTEMPTS => {
                    attempt += 1;
                    tokio::time::sleep(self.chain.poll()).await;
                }
                // An earlier attempt did arrive.
                Err(ChainError::Refused { message, .. }) if attempt > 1 && nonce_taken(&message) => {
                    return Ok(*signed.tx_hash());
                }
                sent => return sent.map(|()| *signed.tx_hash()),
            }
        }
    }

    async fn mined(&self, call: &'static str, transaction: B256) -> Result<TransactionReceipt, ChainError> {
        let begun = Instant::now();
        loop {
            match self.confirmed(transaction).await {
                Ok(Some(receipt)) if receipt.status() => return Ok(receipt),
                Ok(Some(_)) => return Err(ChainError::Failed { call, transaction }),
                Ok(None) => {}
                // The transaction is out: a node that is away for a moment changes nothing.
                Err(cause) if cause.is_transient() => {}
                Err(cause) => return Err(cause),
            }
            if begun.elapsed() > MINING_TIMEOUT {
                return Err(ChainError::NotMined { call, transaction, seconds: MINING_TIMEOUT.as_secs() });
            }
            tokio::time::sleep(self.chain.poll()).await;
        }
    }

    async fn confirmed(&self, transaction: B256) -> Result<Option<TransactionReceipt>, ChainError> {
        let asked = async { self.chain.provider().get_transaction_receipt(transaction).await };
        let Some(receipt) = self.chain.timed("eth_getTransactionReceipt", asked).await? else { return Ok(None) };
        let block = receipt.block_number.unwrap_or_default();
        let enough = self.confirmations == 1 || self.chain.block_number().await? + 1 >= block + self.confirmations;
        Ok(enough.then_some(receipt))
    }
}

/// Signs a transaction (EIP-1559 within EIP-2718).
pub(crate) fn sign(wallet: &Wallet, unsigned: TxEip1559) -> Result<TxEnvelope, KeyError> {
    let signed = wallet.key().sign_hash(unsigned.signature_hash())?;
    let signature = Signature::from_raw(&signed.to_bytes()).map_err(|_| KeyError::Signature)?;
    Ok(unsigned.into_signed(signature).into())
}

/// Words of geth, anvil and Nitro when a nonce was used already.
fn nonce_taken(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    ["nonce too low", "replacement transaction underpriced", "already known", "already imported"]
        .iter()
        .any(|words| message.contains(words))
}
