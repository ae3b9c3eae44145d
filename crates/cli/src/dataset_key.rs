//! Encryption of datasets for the enclave, and their keys: made here, given to the SMS by their owner.
//!
//! Format of the JavaScript SDK from 6 on: `IV ‖ AES-256-CBC/PKCS#7`, checksum SHA-256 of the whole encrypted file, key as
//! base64 in `.secrets/datasets/<file>.key`; the last one also as `dataset.key`.

use std::{
    fs::File,
    io::{BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use aes::cipher::{Block, BlockEncryptMut as _, KeyIvInit as _, block_padding::Pkcs7};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use iexec_protocol::{
    Address,
    call::sms::{SecretExists, SecretId, SetSecret},
    id::Sha256,
    secret::MAX_SECRET,
    session::SecretText,
};
use serde::Serialize;
use serde_json::json;
use sha2::Digest as _;
use zeroize::Zeroizing;

use crate::{
    chain_options::ChainOptions,
    failure::Failure,
    files::{self, Keep},
    remote::{Remote, Service, online},
    screen::{Answer, Screen, table},
    wallet_options::WalletOptions,
};

type Cipher = cbc::Encryptor<aes::Aes256>;

const BLOCK: usize = 16;
/// Bytes in memory at once; a multiple of [`BLOCK`].
const CHUNK: usize = 64 * 1024;
/// The key that was made last.
const LAST_KEY: &str = "dataset.key";

/// The folders of `dataset encrypt`.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Folders {
    /// Folder of the datasets' keys
    #[arg(long, value_name = "PATH", default_value = ".secrets/datasets")]
    dataset_keystoredir: PathBuf,
    /// Folder of the datasets as they are
    #[arg(long, value_name = "PATH", default_value = "datasets/original")]
    original_dataset_dir: PathBuf,
    /// Folder of the encrypted datasets
    #[arg(long, value_name = "PATH", default_value = "datasets/encrypted")]
    encrypted_dataset_dir: PathBuf,
}

/// A file that was encrypted. The key itself stays in its file.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Encrypted {
    original: String,
    #[serde(rename = "encrypted")]
    target: String,
    key_file: String,
    checksum: String,
}

impl Folders {
    /// Makes the three folders.
    pub(crate) fn make(&self) -> Result<(), Failure> {
        files::make_private_folder(&self.dataset_keystoredir)?;
        for folder in [&self.original_dataset_dir, &self.encrypted_dataset_dir] {
            std::fs::create_dir_all(folder).map_err(|error| files::failure("cannot be made", folder, &error))?;
        }
        Ok(())
    }

    /// Encrypts every file of the folder of originals.
    pub(crate) fn encrypt(&self, force: bool) -> Result<Answer, Failure> {
        let originals = self.originals()?;
        for name in &originals {
            files::refuse_existing(&self.encrypted_dataset_dir.join(format!("{name}.enc")), force)?;
            files::refuse_existing(&self.dataset_keystoredir.join(format!("{name}.key")), force)?;
        }
        self.make()?;
        let done = originals.iter().map(|name| self.encrypt_one(name, force)).collect::<Result<Vec<_>, _>>()?;
        let mut rows = Vec::new();
        for one in &done {
            rows.extend([
                ("encrypted", one.target.clone()),
                ("key", one.key_file.clone()),
                ("checksum", one.checksum.clone()),
            ]);
        }
        let folder = |path: &Path| files::working_folder().map(|here| here.join(path).display().to_string());
        let json = json!({
            "encryptedDatasetFolderPath": folder(&self.encrypted_dataset_dir)?,
            "secretPath": folder(&self.dataset_keystoredir)?,
            "encryptedFiles": done,
        });
        Answer::new(&json, table(&rows))
    }

    fn originals(&self) -> Result<Vec<String>, Failure> {
        let folder = &self.original_dataset_dir;
        let hint = "put the files to encrypt there; `iexec dataset init --encrypted` makes the folders";
        let entries =
            std::fs::read_dir(folder).map_err(|error| files::failure("cannot be read", folder, &error).hint(hint))?;
        let regular = entries.filter_map(Result::ok).filter(|entry| entry.path().is_file());
        let mut names: Vec<String> = regular.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort_unstable();
        if names.is_empty() {
            return Err(Failure::absent(format!("there is no file in {}", folder.display())).hint(hint));
        }
        Ok(names)
    }

    fn encrypt_one(&self, name: &str, replace: bool) -> Result<Encrypted, Failure> {
        let (original, target) =
            (self.original_dataset_dir.join(name), self.encrypted_dataset_dir.join(format!("{name}.enc")));
        let (key, iv) = (Zeroizing::new(rand::random::<[u8; 32]>()), rand::random::<[u8; BLOCK]>());
        let input = File::open(&original).map_err(|error| files::failure("cannot be read", &original, &error))?;
        let mut file = files::temporary(&target, false)?;
        let digest = encrypt(&key, &iv, BufReader::new(input), BufWriter::new(file.as_file_mut()));
        let digest = digest.map_err(|error| files::failure("cannot be encrypted", &original, &error))?;
        // The key first: an encrypted file without its key would be of no use to anyone.
        let text = Zeroizing::new(STANDARD.encode(key.as_slice()));
        let key_path = self.dataset_keystoredir.join(format!("{name}.key"));
        files::write(&key_path, text.as_bytes(), Keep { secret: true, replace })?;
        files::write(&self.dataset_keystoredir.join(LAST_KEY), text.as_bytes(), Keep { secret: true, replace: true })?;
        files::finish(file, &target, replace)?;
        Ok(Encrypted {
            original: name.to_owned(),
            target: target.display().to_string(),
            key_file: key_path.display().to_string(),
            checksum: digest.to_string(),
        })
    }
}

/// Writes `IV ‖ ciphertext` and yields its SHA-256.
fn encrypt(key: &[u8; 32], iv: &[u8; BLOCK], mut input: impl Read, mut out: impl Write) -> std::io::Result<Sha256> {
    let mut cipher = Cipher::new(key.into(), iv.into());
    let mut hash = sha2::Sha256::new();
    let mut emit = |bytes: &[u8]| {
        hash.update(bytes);
        out.write_all(bytes)
    };
    emit(iv)?;
    let mut buffer = Zeroizing::new(Vec::with_capacity(CHUNK));
    loop {
        buffer.clear();
        let read = input.by_ref().take(CHUNK as u64).read_to_end(&mut buffer)?;
        if read < CHUNK {
            emit(&cipher.encrypt_padded_vec_mut::<Pkcs7>(&buffer))?;
            break;
        }
        for block in buffer.chunks_exact_mut(BLOCK) {
            cipher.encrypt_block_mut(Block::<Cipher>::from_mut_slice(block));
        }
        emit(&buffer)?;
    }
    out.flush()?;
    Ok(Sha256(<[u8; 32]>::from(hash.finalize()).into()))
}

/// Gives a dataset's key to the SMS.
pub(crate) fn push(
    asset: Address,
    given: Option<&Path>,
    wallet: &WalletOptions,
    chain: &ChainOptions,
    screen: Screen,
) -> Result<Answer, Failure> {
    let path = given.map_or_else(|| Path::new(".secrets/datasets").join(LAST_KEY), Path::to_owned);
    let missing = || {
        Failure::absent(format!("there is no key {}", path.display()))
            .hint("`iexec dataset encrypt` makes one; another file is named with --secret-path")
    };
    let text = Zeroizing::new(files::read_text(&path, MAX_SECRET)?.ok_or_else(missing)?);
    let value = text.trim();
    if STANDARD.decode(value).map(Zeroizing::new).map_or(true, |key| key.len() != 32) {
        return Err(Failure::invalid(format!("{}: a dataset's key is 32 bytes in base64", path.display()))
            .hint("use the key file that `iexec dataset encrypt` wrote"));
    }
    let wallet = wallet.open(screen)?;
    online(async {
        let remote = Remote::new(chain)?;
        let id = SecretId::Web3 { asset };
        if remote.send(Service::Sms, &SecretExists(id.clone())).await? {
            return Err(Failure::user(
                "SecretExists",
                format!("Secret already exists for {asset} and can't be updated"),
            )
            .hint("deploy the dataset again, encrypted with the new key"));
        }
        let signature = wallet.sign_message(id.challenge(value))?;
        remote.send(Service::Sms, &SetSecret { id, value: SecretText::new(value), signature, update: false }).await
    })?;
    Answer::new(&json!({}), table(&[("key", format!("pushed for the dataset {asset}"))]))
}

/// Tells whether the SMS has a dataset's key.
pub(crate) fn check(asset: Address, chain: &ChainOptions) -> Result<Answer, Failure> {
    let set = online(async { Remote::new(chain)?.send(Service::Sms, &SecretExists(SecretId::Web3 { asset })).await })?;
    let text = if set { "has a key in the SMS." } else { "has no key in the SMS." };
    Ok(Answer::new(&json!({ "isSecretSet": set }), format!("The dataset {asset} {text}"))?.says(set))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encrypted_dataset_decrypts_with_the_library_whatever_its_size() {
        use aes::cipher::BlockDecryptMut as _;
        for size in [0, 1, 15, 16, 17, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK] {
            let plain = vec![7; size];
            let mut out = Vec::new();
            let digest = encrypt(&[1; 32], &[2; BLOCK], plain.as_slice(), &mut out).unwrap();
            assert_eq!(digest, Sha256::of(&out));
            assert_eq!(out[..BLOCK], [2; BLOCK]);
            let cipher = cbc::Decryptor::<aes::Aes256>::new((&[1; 32]).into(), (&[2; BLOCK]).into());
            assert_eq!(cipher.decrypt_padded_vec_mut::<Pkcs7>(&out[BLOCK..]).unwrap(), plain, "{size}");
        }
    }
}
