//! `iexec result verify` and `inspect`: what an archive tells without a private key.

use std::path::Path;

use iexec_archive::Inspection;
use iexec_protocol::{
    id::{DealId, Sha256},
    receipt::Receipt,
};
use serde::Serialize;
use serde_json::json;

use super::{
    decrypt::{Vouched, listed, name_of, vouched, wrong},
    facts::{Facts, TrustOptions, ask_chain, check_receipt},
    source,
};
use crate::{
    chain_options::ChainOptions,
    failure::Failure,
    screen::{Answer, Screen, table},
};

/// Checks the receipt, and every byte of the archive against it.
pub(crate) fn verify(
    path: &Path,
    trust: &TrustOptions,
    chain: &ChainOptions,
    screen: Screen,
) -> Result<Answer, Failure> {
    let (mut archive, origin) = source::open(path, screen)?;
    let mut facts = Facts::new(screen);
    let on_chain = |task| ask_chain(chain, trust, task);
    let receipt = check_receipt(archive.receipt(), trust, &on_chain, &mut facts)?;
    let Some(receipt) = receipt else {
        return Err(Failure::user(
            "NoReceipt",
            format!("{} has no receipt: nothing in it can be verified", origin.name()),
        )
        .hint("archives of iExec's own workers have none"));
    };
    origin.begin();
    let found = archive.entries().map_err(|error| wrong(&origin, error))?;
    origin.done();
    compare(&receipt, &found)?;
    facts.verified(format!("the archive's {} entries are those of the receipt, byte for byte", found.len()));
    facts.require(trust)?;
    let text = format!("{} is what the enclave of the key {} signed.", origin.name(), receipt.signer());
    Answer::new(&Verified { layout: name_of(archive.layout()), receipt: vouched(&receipt), facts }, text)
}

/// The answer of `result verify`.
#[derive(Serialize)]
struct Verified {
    layout: &'static str,
    receipt: Vouched,
    #[serde(flatten)]
    facts: Facts,
}

fn compare(receipt: &Receipt, found: &[iexec_archive::EntryDigest]) -> Result<(), Failure> {
    if listed(receipt) == found {
        return Ok(());
    }
    let entry = |entry: &iexec_archive::EntryDigest| iexec_protocol::receipt::Entry {
        name: entry.name.clone(),
        size: entry.size,
        sha256: Sha256(entry.sha256.into()),
    };
    let found: Vec<_> = found.iter().map(entry).collect();
    let difference = receipt.check_entries(&found).err().map(|error| error.to_string());
    let message = difference.unwrap_or_else(|| "the archive's entries are in another order than the receipt's".into());
    Err(super::facts::invalid_receipt(message))
}

/// Tells layout, recipients, sizes, dates and what the receipt says. Nothing of it is checked but the receipt's signature.
pub(crate) fn inspect(path: &Path, screen: Screen) -> Result<Answer, Failure> {
    let (mut archive, origin) = source::open(path, screen)?;
    let facts = archive.inspect().map_err(|error| wrong(&origin, error))?;
    origin.done();
    let receipt = archive.receipt().map(Receipt::verify);
    let mut rows = vec![("archive", origin.name().to_owned()), ("layout", facts.layout.to_string())];
    rows.extend(facts.recipients.iter().map(|recipient| ("recipient", recipient.to_string())));
    rows.extend(facts.entries.iter().map(|entry| {
        let date = entry.modified.as_deref().unwrap_or("no date");
        ("entry", format!("{}  {} bytes  {date}", entry.name.escape_debug(), entry.size))
    }));
    match &receipt {
        None => rows.push(("receipt", "none".into())),
        Some(Err(error)) => rows.push(("receipt", format!("invalid: {error}"))),
        Some(Ok(receipt)) => rows.extend(receipt_rows(receipt)),
    }
    let json = json!({
        "layout": name_of(facts.layout),
        "recipients": facts.recipients.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "entries": entries(&facts),
        "receipt": receipt.as_ref().and_then(|receipt| receipt.as_ref().ok()).map(Stated::of),
        "receiptError": receipt.as_ref().and_then(|receipt| receipt.as_ref().err()).map(ToString::to_string),
    });
    Answer::new(&json, table(&rows))
}

fn entries(facts: &Inspection) -> Vec<serde_json::Value> {
    let entry = |entry: &iexec_archive::EntryFacts| json!({ "name": entry.name, "size": entry.size, "packedSize": entry.packed, "modified": entry.modified });
    facts.entries.iter().map(entry).collect()
}

fn receipt_rows(receipt: &Receipt) -> Vec<(&'static str, String)> {
    let stated = receipt.statement();
    let mut rows = vec![
        ("receipt of task", stated.task.to_string()),
        ("deal", stated.deal.to_string()),
        ("worker", stated.worker.to_string()),
        ("TEE", stated.tee.to_string()),
        ("app image", stated.inputs.image.to_oci()),
        ("command", format!("{:?}", stated.inputs.command)),
        ("result digest", stated.result_digest.to_string()),
        ("tree hash", stated.tree.to_string()),
        ("signed by", receipt.signer().to_string()),
    ];
    rows.extend(stated.recipients.iter().map(|id| ("for key", id.to_string())));
    if let Some(dataset) = stated.inputs.dataset {
        rows.insert(5, ("dataset", dataset.to_string()));
    }
    rows
}

/// The statement without its evidence, which is long and says nothing to people.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Stated<'a> {
    #[serde(flatten)]
    vouched: Vouched,
    deal: DealId,
    worker: iexec_protocol::Address,
    inputs: &'a iexec_protocol::receipt::Inputs,
    result_digest: iexec_protocol::B256,
    tree: Sha256,
    /// Ids of the keys that the archive is encrypted to.
    recipients: &'a [Sha256],
}

impl<'a> Stated<'a> {
    fn of(receipt: &'a Receipt) -> Self {
        let stated = receipt.statement();
        Self {
            vouched: vouched(receipt),
            deal: stated.deal,
            worker: stated.worker,
            inputs: &stated.inputs,
            result_digest: stated.result_digest,
            tree: stated.tree,
            recipients: &stated.recipients,
        }
    }
}
