//! A beneficiary's public key in the SMS: given, replaced, asked for.

use std::path::Path;

use iexec_archive::{Identity, KeyError, PublicKey, Recipient};
use iexec_protocol::{
    Address,
    call::sms::{SecretExists, SecretId, SetSecret},
    secret::RESULT_ENCRYPTION_KEY,
    session::SecretText,
};
use serde_json::json;

use crate::{
    chain_options::ChainOptions,
    failure::Failure,
    files,
    key_file::{self, MAX_KEY_FILE},
    key_folder::KeyFolder,
    remote::{Remote, Service, online},
    screen::{Answer, Screen, table},
    wallet_options::WalletOptions,
};

/// Gives the public key, and those who open results besides, to the SMS.
pub(crate) fn push(
    given: Option<&Path>,
    others: &[Recipient],
    update: bool,
    wallet: &WalletOptions,
    chain: &ChainOptions,
    screen: Screen,
) -> Result<Answer, Failure> {
    chain.network()?;
    let owner = wallet.address()?;
    let folder = KeyFolder::new(None)?;
    let path = given.map_or_else(|| folder.public_path(owner), Path::to_owned);
    // Whose keys are all elsewhere, on hardware say, has no file here.
    let mut recipients =
        if given.is_none() && !others.is_empty() && !path.is_file() { Vec::new() } else { read_public(&path)? };
    if let ([own], None) = (recipients.as_slice(), given) {
        check_pair(&folder, owner, own)?;
    }
    recipients.extend_from_slice(others);
    let value = Recipient::list_to_sms_value(&recipients)?;
    let existed = give(owner, &value, update, wallet, chain, screen)?;
    let done = if existed { "replaced" } else { "pushed" };
    let names: Vec<String> = recipients.iter().map(ToString::to_string).collect();
    let mut rows = vec![("encryption key", format!("{done} for {owner}"))];
    rows.extend(names.iter().map(|name| ("recipient", name.clone())));
    let json = json!({ "isPushed": true, "isUpdated": existed, "recipients": names });
    Answer::new(&json, table(&rows))
}

/// Sets the secret; yields whether there was one before.
pub(crate) fn give(
    owner: Address,
    value: &str,
    update: bool,
    wallet: &WalletOptions,
    chain: &ChainOptions,
    screen: Screen,
) -> Result<bool, Failure> {
    let wallet = wallet.open(screen)?;
    let id = SecretId::Web2 { owner, name: RESULT_ENCRYPTION_KEY.into() };
    online(async {
        let remote = Remote::new(chain)?;
        let existed = remote.send(Service::Sms, &SecretExists(id.clone())).await?;
        if existed && !update {
            return Err(Failure::user(
                "SecretExists",
                format!("Secret \"{RESULT_ENCRYPTION_KEY}\" already exists for {owner}"),
            )
            .hint("replace it with --force-update; results are then encrypted to the new key"));
        }
        let signature = wallet.sign_message(id.challenge(value))?;
        remote.send(Service::Sms, &SetSecret { id, value: SecretText::new(value), signature, update: existed }).await?;
        Ok(existed)
    })
}

fn read_public(path: &Path) -> Result<Vec<Recipient>, Failure> {
    let absent = || {
        Failure::absent(format!("there is no public key {}", path.display())).hint(
            "make a key pair with `iexec result generate-encryption-keypair`, or name the file with --secret-path",
        )
    };
    let text = files::read_text(path, MAX_KEY_FILE)?.ok_or_else(absent)?;
    let keys: Vec<&str> =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let secret = keys.iter().any(|line| line.starts_with("AGE-")) || text.starts_with("-----BEGIN AGE ENCRYPTED");
    let read = if keys.first().is_some_and(|line| line.starts_with("age1")) {
        Recipient::list_from_sms_value(&keys.join("\n"))
    } else {
        PublicKey::from_pem(&text).map(|key| vec![key.into()])
    };
    read.map_err(|error| {
        let private = matches!(&error, KeyError::Label { found, .. } if found.contains("PRIVATE KEY")) || secret;
        let failure = Failure::from(error).at(path.display());
        if private { failure.hint("that is the secret half: push the public one, <address>_key.pub") } else { failure }
    })
}

/// A public key whose private half is another one would make results unreadable.
fn check_pair(folder: &KeyFolder, owner: Address, public: &Recipient) -> Result<(), Failure> {
    let path = folder.private_path(owner);
    if !path.is_file() {
        return Ok(());
    }
    let private = match Identity::from_file(&key_file::read(&path)?, None).and_then(|key| key.recipient()) {
        Ok(private) => private,
        // Whether they belong together only its passphrase tells, or its plugin.
        Err(KeyError::Passphrase | KeyError::Plugin(_)) => return Ok(()),
        Err(error) => return Err(Failure::from(error).at(path.display())),
    };
    if private == *public {
        return Ok(());
    }
    let message = format!("{} is not the public half of {}", folder.public_path(owner).display(), path.display());
    Err(Failure::user("InvalidEncryptionKey", message)
        .hint("put the right pair back, or push one without its private half with --secret-path"))
}

/// Whether the SMS has a beneficiary's key.
pub(crate) async fn is_set(remote: &Remote, owner: Address) -> Result<bool, Failure> {
    remote.send(Service::Sms, &SecretExists(SecretId::Web2 { owner, name: RESULT_ENCRYPTION_KEY.into() })).await
}

/// Tells whether the SMS has a beneficiary's key.
pub(crate) fn check(owner: Address, chain: &ChainOptions) -> Result<Answer, Failure> {
    let set = online(async { is_set(&Remote::new(chain)?, owner).await })?;
    let text = if set {
        format!("{owner} has an encryption key in the SMS.")
    } else {
        format!("{owner} has no encryption key in the SMS.")
    };
    Ok(Answer::new(&json!({ "isEncryptionKeySet": set }), text)?.says(set))
}
