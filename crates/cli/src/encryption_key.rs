//! A beneficiary's key pair: its files, and its public half in the SMS.
//!
//! Files are the JavaScript SDK's: `<checksummed address>_key` (PKCS#8 PEM) and `<checksummed address>_key.pub` (SPKI
//! PEM); the private one is readable by its owner only.

use std::path::{Path, PathBuf};

use iexec_archive::{KeyError, PrivateKey, PublicKey};
use iexec_protocol::{
    Address,
    call::sms::{SecretExists, SecretId, SetSecret},
    secret::RESULT_ENCRYPTION_KEY,
    session::SecretText,
};
use serde_json::json;
use zeroize::Zeroizing;

use crate::{
    chain_options::ChainOptions,
    failure::Failure,
    files::{self, Keep},
    remote::{Remote, Service, online},
    screen::{Answer, Screen, table},
    wallet_options::WalletOptions,
};

/// Size of new keys, as the SDK's.
const BITS: usize = 4096;
/// Largest PEM file read, in bytes.
const MAX_PEM: usize = 16 * 1024;

/// Folder of beneficiaries' keys.
#[derive(Debug)]
pub(crate) struct KeyFolder(PathBuf);

impl KeyFolder {
    /// The folder given, else `.secrets/beneficiary` here.
    pub(crate) fn new(given: Option<PathBuf>) -> Result<Self, Failure> {
        let here = files::working_folder()?;
        Ok(Self(here.join(given.unwrap_or_else(|| Path::new(".secrets").join("beneficiary")))))
    }

    fn private_path(&self, address: Address) -> PathBuf {
        self.0.join(format!("{}_key", address.to_checksum(None)))
    }

    fn public_path(&self, address: Address) -> PathBuf {
        self.0.join(format!("{}_key.pub", address.to_checksum(None)))
    }

    /// Whether this address' private key is there.
    pub(crate) fn has_private_key(&self, address: Address) -> bool {
        self.private_path(address).is_file()
    }

    /// The file of this address' private key, which must be there.
    pub(crate) fn private_key(&self, address: Address) -> Result<PathBuf, Failure> {
        let path = self.private_path(address);
        if path.is_file() {
            return Ok(path);
        }
        Err(Failure::absent(format!("there is no private key {}", path.display())).hint(
            "name the key that the result was encrypted to with --beneficiary-key-file, or its folder with --beneficiary-keystoredir",
        ))
    }

    /// A file of this folder, or a path.
    pub(crate) fn named(&self, name: &Path) -> Result<PathBuf, Failure> {
        let candidates = [self.0.join(name), name.to_owned()];
        candidates.into_iter().find(|path| path.is_file()).ok_or_else(|| {
            Failure::absent(format!(
                "--beneficiary-key-file: there is no file {} in {}",
                name.display(),
                self.0.display()
            ))
            .hint("its folder is named with --beneficiary-keystoredir")
        })
    }

    /// The folder's private key, if there is exactly one.
    pub(crate) fn only_private_key(&self) -> Option<PathBuf> {
        let entries = std::fs::read_dir(&self.0).ok()?.take(1000).filter_map(Result::ok);
        let mut keys = entries.map(|entry| entry.path()).filter(|path| path.to_string_lossy().ends_with("_key"));
        keys.next().filter(|_| keys.next().is_none())
    }
}

/// Makes a key pair for `address` and writes its two files.
pub(crate) fn generate(folder: &KeyFolder, address: Address, force: bool, screen: Screen) -> Result<Answer, Failure> {
    if address.is_zero() {
        return Err(Failure::invalid("a key pair for the zero address would be nobody's")
            .hint("make a wallet with `iexec wallet create`, or choose one with --wallet-address"));
    }
    let (private_path, public_path) = (folder.private_path(address), folder.public_path(address));
    if private_path.exists() && !force {
        return Err(Failure::user(
            "FileExists",
            format!("there is a key pair of {address} already: {}", private_path.display()),
        )
        .hint("it opens the results encrypted to it; back it up, then replace it with --force"));
    }
    files::make_private_folder(&folder.0)?;
    screen.note("Making an RSA key of 4096 bits …");
    let private = PrivateKey::generate(BITS)?;
    let public = private.public_key()?;
    files::write(&private_path, private.to_pkcs8_pem()?.as_bytes(), Keep { secret: true, replace: force })?;
    files::write(&public_path, public.to_pem().as_bytes(), Keep { secret: false, replace: true })?;
    screen.note(
        "Back the private key up: without it no result can be decrypted.\nNext: `iexec result push-encryption-key`",
    );
    let text = table(&[
        ("beneficiary", address.to_string()),
        ("private key", shown(&private_path)),
        ("public key", shown(&public_path)),
    ]);
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    Answer::new(
        &KeyPair {
            secret_path: shown(&folder.0),
            private_key_file: name(&private_path),
            public_key_file: name(&public_path),
        },
        text,
    )
}

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct KeyPair {
    secret_path: String,
    private_key_file: Option<String>,
    public_key_file: Option<String>,
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Gives the public key to the SMS.
pub(crate) fn push(
    given: Option<&Path>,
    update: bool,
    wallet: &WalletOptions,
    chain: &ChainOptions,
    screen: Screen,
) -> Result<Answer, Failure> {
    chain.network()?;
    let owner = wallet.address()?;
    let folder = KeyFolder::new(None)?;
    let path = given.map_or_else(|| folder.public_path(owner), Path::to_owned);
    let public = read_public(&path)?;
    if given.is_none() {
        check_pair(&folder, owner, &public)?;
    }
    let value = public.to_sms_value();
    let wallet = wallet.open(screen)?;
    let id = SecretId::Web2 { owner, name: RESULT_ENCRYPTION_KEY.into() };
    let existed = online(async {
        let remote = Remote::new(chain)?;
        let existed = remote.send(Service::Sms, &SecretExists(id.clone())).await?;
        if existed && !update {
            return Err(Failure::user(
                "SecretExists",
                format!("Secret \"{RESULT_ENCRYPTION_KEY}\" already exists for {owner}"),
            )
            .hint("replace it with --force-update; results are then encrypted to the new key"));
        }
        let signature = wallet.sign_message(id.challenge(&value))?;
        remote.send(Service::Sms, &SetSecret { id, value: SecretText::new(value), signature, update: existed }).await?;
        Ok(existed)
    })?;
    let done = if existed { "replaced" } else { "pushed" };
    let json = serde_json::json!({ "isPushed": true, "isUpdated": existed });
    Answer::new(&json, table(&[("encryption key", format!("{done} for {owner}"))]))
}

fn read_public(path: &Path) -> Result<PublicKey, Failure> {
    let absent = || {
        Failure::absent(format!("there is no public key {}", path.display())).hint(
            "make a key pair with `iexec result generate-encryption-keypair`, or name the file with --secret-path",
        )
    };
    let text = files::read_text(path, MAX_PEM)?.ok_or_else(absent)?;
    PublicKey::from_pem(&text).map_err(|error| {
        let private = matches!(&error, KeyError::Label { found, .. } if found.contains("PRIVATE KEY"));
        let failure = Failure::from(error).at(path.display());
        if private { failure.hint("that is the secret half: push the public one, <address>_key.pub") } else { failure }
    })
}

/// A public key whose private half is another one would make results unreadable.
fn check_pair(folder: &KeyFolder, owner: Address, public: &PublicKey) -> Result<(), Failure> {
    let path = folder.private_path(owner);
    if !path.is_file() {
        return Ok(());
    }
    if read_private(&path)?.public_key()?.key_id() == public.key_id() {
        return Ok(());
    }
    let message = format!("{} is not the public half of {}", folder.public_path(owner).display(), path.display());
    Err(Failure::user("InvalidEncryptionKey", message)
        .hint("put the right pair back, or push one without its private half with --secret-path"))
}

/// Reads a private key's file.
pub(crate) fn read_private(path: &Path) -> Result<PrivateKey, Failure> {
    let absent = || {
        Failure::absent(format!("there is no private key {}", path.display()))
            .hint("name it with --beneficiary-key-file")
    };
    let text = Zeroizing::new(files::read_text(path, MAX_PEM)?.ok_or_else(absent)?);
    PrivateKey::from_pem(&text).map_err(|error| {
        let hint = match error {
            KeyError::Passphrase => "take its passphrase off first: `openssl pkey -in <file> -out <new file>`",
            _ => "name the private key that the result was encrypted to with --beneficiary-key-file",
        };
        Failure::from(error).at(path.display()).hint(hint)
    })
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
