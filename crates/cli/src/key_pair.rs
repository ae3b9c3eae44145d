//! Making, replacing, taking out and putting in a beneficiary's key pair. Nothing here loses a private key.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use iexec_archive::{AgeIdentity, Identity, PrivateKey, Recipient};
use iexec_protocol::Address;
use serde::Serialize;
use serde_json::json;
use zeroize::Zeroizing;

use crate::{
    chain_options::ChainOptions,
    encryption_key,
    failure::{Blame, Failure},
    files::{self, Keep},
    key_file::{self, NewPassphraseOptions, PassphraseOptions},
    key_folder::KeyFolder,
    screen::{Answer, Screen, table},
    wallet_options::WalletOptions,
};

/// Size of new RSA keys, as the SDK's.
const BITS: usize = 4096;

/// Kind of a new key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeyType {
    /// RSA-4096: its archives open with iExec's SDK, too
    #[default]
    Rsa,
    /// age X25519: its archives open with the `age` command, and may have several recipients
    Age,
}

/// A private key as its file has it.
struct Private {
    file: Zeroizing<Vec<u8>>,
    recipient: Recipient,
}

impl Private {
    fn make(kind: KeyType, passphrase: &NewPassphraseOptions, screen: Screen) -> Result<Self, Failure> {
        let passphrase = passphrase.choose(screen)?;
        let key: Identity = match kind {
            KeyType::Rsa => {
                screen.note("Making an RSA key of 4096 bits …");
                PrivateKey::generate(BITS)?.into()
            }
            KeyType::Age => AgeIdentity::generate().into(),
        };
        Ok(Self { file: file_of(&key, passphrase.as_deref().map(String::as_str))?, recipient: key.recipient()? })
    }

    fn write(&self, path: &Path, replace: bool) -> Result<(), Failure> {
        files::write(path, &self.file, Keep { secret: true, replace })
    }

    /// Writes both halves, or neither: each is on the disk before one has its name.
    fn write_pair(&self, folder: &KeyFolder, address: Address, replace: bool) -> Result<(), Failure> {
        let text = public_text(&self.recipient);
        let (private_path, public_path) = (folder.private_path(address), folder.public_path(address));
        let private = files::prepare(&private_path, &self.file, true)?;
        let public = files::prepare(&public_path, text.as_bytes(), false)?;
        files::finish(private, &private_path, replace)?;
        files::finish(public, &public_path, true)
    }
}

fn file_of(key: &Identity, passphrase: Option<&str>) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let text = match passphrase {
        Some(passphrase) => key.to_encrypted_text(passphrase.as_bytes(), &mut rand::rng())?,
        None => key.to_text()?,
    };
    Ok(Zeroizing::new(text.as_bytes().to_vec()))
}

/// A public key's file: PEM, or the `age1…` text.
fn public_text(recipient: &Recipient) -> String {
    match recipient {
        Recipient::Rsa(key) => key.to_pem(),
        other => format!("{other}\n"),
    }
}

/// Makes a key pair for `address` and writes its two files.
pub(crate) fn generate(
    folder: &KeyFolder,
    address: Address,
    kind: KeyType,
    passphrase: &NewPassphraseOptions,
    force: bool,
    screen: Screen,
) -> Result<Answer, Failure> {
    if address.is_zero() {
        return Err(Failure::invalid("a key pair for the zero address would be nobody's")
            .hint("make a wallet with `iexec wallet create`, or choose one with --wallet-address"));
    }
    let private_path = folder.private_path(address);
    if private_path.exists() && !force {
        return Err(Failure::user(
            "FileExists",
            format!("there is a key pair of {address} already: {}", private_path.display()),
        )
        .hint("it opens the results encrypted to it; back it up, then replace it with --force"));
    }
    let key = Private::make(kind, passphrase, screen)?;
    files::make_private_folder(folder.path())?;
    key.write_pair(folder, address, force)?;
    screen.note(
        "Back the private key up: without it no result can be decrypted.\nNext: `iexec result push-encryption-key`",
    );
    shown(folder, address, &key.recipient, &[], json!({}))
}

/// Makes a new pair, gives its public half to the SMS, and keeps the old private key for old results.
pub(crate) fn rotate(
    folder: &KeyFolder,
    new: &Rotation<'_>,
    wallet: &WalletOptions,
    chain: &ChainOptions,
    screen: Screen,
) -> Result<Answer, Failure> {
    chain.network()?;
    let owner = wallet.address()?;
    let current = folder.private_path(owner);
    if !current.is_file() {
        return Err(Failure::absent(format!("there is no key pair to replace: {}", current.display()))
            .hint("make the first one with `iexec result generate-encryption-keypair`"));
    }
    let pending = folder.pending_path(owner);
    if pending.exists() {
        // Of a rotation that was cut off: the SMS may have its public half.
        folder.retire(owner, &pending)?;
    }
    let key = Private::make(new.kind, new.passphrase, screen)?;
    let mut recipients = vec![key.recipient.clone()];
    recipients.extend_from_slice(new.others);
    let value = Recipient::list_to_sms_value(&recipients)?;
    key.write(&pending, false)?;
    let given = encryption_key::give(owner, &value, true, wallet, chain, screen);
    given.map_err(|failure| not_given(failure, &pending, screen))?;
    let old = folder.retire(owner, &current)?;
    std::fs::rename(&pending, &current).map_err(|error| files::failure("cannot be renamed", &pending, &error))?;
    write_public(folder, owner, &key.recipient)?;
    screen.note(format!("Back both private keys up: older results are encrypted to {}", old.display()));
    let path = old.display().to_string();
    shown(
        folder,
        owner,
        &key.recipient,
        &[("replaced key", path.clone())],
        json!({ "isPushed": true, "replacedKeyFile": path }),
    )
}

/// A new key that the SMS refused goes; one of which nobody knows whether the SMS has it stays.
fn not_given(failure: Failure, pending: &Path, screen: Screen) -> Failure {
    if failure.blame != Blame::User {
        screen.warn(format!("the SMS may have the new key: its private half is kept in {}", pending.display()));
        return failure;
    }
    match std::fs::remove_file(pending) {
        Ok(()) => failure,
        Err(error) => files::failure("cannot be removed", pending, &error),
    }
}

/// What the new pair is to be.
pub(crate) struct Rotation<'a> {
    pub(crate) kind: KeyType,
    pub(crate) passphrase: &'a NewPassphraseOptions,
    /// Who else opens results from now on.
    pub(crate) others: &'a [Recipient],
}

/// Takes a private key from a file, or from stdin for `-`, as the key pair of `address`.
pub(crate) fn import(
    folder: &KeyFolder,
    address: Address,
    source: &Path,
    passphrase: &PassphraseOptions,
    force: bool,
    screen: Screen,
) -> Result<Answer, Failure> {
    let file = if source.as_os_str() == "-" {
        key_file::read_bounded(std::io::stdin().lock(), Path::new("stdin"))?
    } else {
        key_file::read(source)?
    };
    let (identity, _) = key_file::parse(&file, source, passphrase, screen)?;
    let recipient = identity.recipient().map_err(|error| Failure::from(error).at(source.display()))?;
    let key = Private { file, recipient };
    let current = folder.private_path(address);
    files::make_private_folder(folder.path())?;
    let mut rows = Vec::new();
    if current.exists() {
        files::refuse_existing(&current, force)?;
        let old = folder.retire(address, &current)?;
        rows.push(("replaced key", old.display().to_string()));
    }
    key.write(&current, false)?;
    write_public(folder, address, &key.recipient)?;
    screen.note("Next, if the SMS has another key: `iexec result push-encryption-key --force-update`");
    shown(folder, address, &key.recipient, &rows, json!({}))
}

/// How a private key leaves.
pub(crate) enum Form {
    /// As it is kept, its passphrase with it.
    AsKept,
    /// Without a passphrase.
    Unencrypted,
    /// Under a new passphrase.
    Under(NewPassphraseOptions),
}

/// Writes a copy of a private key to a file of its own.
pub(crate) fn export(
    key: &Path,
    target: &Path,
    form: Form,
    passphrase: &PassphraseOptions,
    force: bool,
    screen: Screen,
) -> Result<Answer, Failure> {
    files::check_target(target, force)?;
    let kept = key_file::read(key)?;
    let file = match form {
        Form::AsKept => kept,
        Form::Unencrypted => file_of(&key_file::parse(&kept, key, passphrase, screen)?.0, None)?,
        Form::Under(new) => {
            let identity = key_file::parse(&kept, key, passphrase, screen)?.0;
            file_of(&identity, new.choose(screen)?.as_deref().map(String::as_str))?
        }
    };
    files::write(target, &file, Keep { secret: true, replace: force })?;
    let path = target.display().to_string();
    Answer::new(&json!({ "privateKeyFile": path }), table(&[("private key", path.clone())]))
}

fn write_public(folder: &KeyFolder, address: Address, recipient: &Recipient) -> Result<(), Failure> {
    let text = public_text(recipient);
    files::write(&folder.public_path(address), text.as_bytes(), Keep { secret: false, replace: true })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KeyPair {
    secret_path: String,
    private_key_file: Option<String>,
    public_key_file: Option<String>,
    #[serde(flatten)]
    more: serde_json::Value,
}

fn shown(
    folder: &KeyFolder,
    address: Address,
    recipient: &Recipient,
    more_rows: &[(&str, String)],
    more: serde_json::Value,
) -> Result<Answer, Failure> {
    let (private, public) = (folder.private_path(address), folder.public_path(address));
    let name = |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let mut rows = vec![
        ("beneficiary", address.to_string()),
        ("private key", private.display().to_string()),
        ("public key", public.display().to_string()),
    ];
    if !matches!(recipient, Recipient::Rsa(_)) {
        rows.push(("recipient", recipient.to_string()));
    }
    rows.extend(more_rows.iter().cloned());
    let secret_path = folder.path().display().to_string();
    let json = KeyPair { secret_path, private_key_file: name(&private), public_key_file: name(&public), more };
    Answer::new(&json, table(&rows))
}
