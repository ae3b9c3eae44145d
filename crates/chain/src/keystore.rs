//! Keystore version 3: a wallet encrypted under a password, as geth and the JavaScript SDK write it.
//!
//! Web3 Secret Storage Definition, version 3. Reads scrypt and PBKDF2-HMAC-SHA256, writes scrypt (n 131072, r 8, p 1).
//! It is text to wallet and back; files and their names belong to [`crate::keyring`].

use aes::cipher::{KeyIvInit, StreamCipher};
use alloy::primitives::{Address, keccak256};
use rand::TryRngCore;
use rand::rngs::OsRng;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::wallet::{Wallet, WalletError};

/// A keystore is under 1 kB; nothing larger than this is parsed.
pub const MAX_BYTES: usize = 16 * 1024;
/// scrypt's memory, 128·n·r bytes, above which a file is refused (geth's "standard" cost is 256 MiB).
const MAX_SCRYPT_BYTES: u64 = 512 << 20;
/// scrypt's work, n·r·p, above which a file is refused (geth's standard cost is 2 097 152).
const MAX_SCRYPT_WORK: u64 = 16 << 20;
/// PBKDF2 rounds above which a file is refused (old geth wrote 262 144).
const MAX_PBKDF2_ROUNDS: u32 = 10_000_000;
const SCRYPT_LOG_N: u8 = 17;

/// The text of a keystore that holds `wallet` under `password`.
pub fn seal(wallet: &Wallet, password: &str) -> Result<String, KeystoreError> {
    let (salt, iv) = (random::<32>()?, random::<16>()?);
    let kdf = Kdf::Scrypt { dklen: 32, n: 1 << SCRYPT_LOG_N, p: 1, r: 8, salt: const_hex::encode(salt) };
    let derived = derive(&kdf, password)?;
    let mut secret = wallet.expose_secret();
    apply_cipher(&derived, &iv, &mut secret);
    let file = File {
        version: 3,
        id: uuid::Uuid::new_v4().to_string(),
        address: Some(const_hex::encode(wallet.address())),
        crypto: Crypto {
            cipher: "aes-128-ctr".into(),
            cipherparams: CipherParams { iv: const_hex::encode(iv) },
            ciphertext: const_hex::encode(secret.as_ref()),
            kdf,
            mac: const_hex::encode(mac(&derived, &secret)),
        },
    };
    serde_json::to_string(&file).map_err(|cause| KeystoreError::Json(cause.to_string()))
}

/// The wallet inside a keystore's text. A wrong password and a damaged file are different errors where the format lets
/// them be told apart: the MAC covers key and ciphertext, so a changed ciphertext looks like a wrong password.
pub fn open(text: &str, password: &str) -> Result<Wallet, KeystoreError> {
    let file = parse(text)?;
    let iv = field::<16>("crypto.cipherparams.iv", &file.crypto.cipherparams.iv)?;
    let ciphertext = field::<32>("crypto.ciphertext", &file.crypto.ciphertext)?;
    let expected = field::<32>("crypto.mac", &file.crypto.mac)?;
    let derived = derive(&file.crypto.kdf, password)?;
    if mac(&derived, &ciphertext) != expected {
        return Err(KeystoreError::WrongPassword);
    }
    let mut secret = Zeroizing::new(ciphertext);
    apply_cipher(&derived, &iv, &mut secret);
    let wallet = Wallet::from_secret(&secret)?;
    match file.address()? {
        Some(written) if written != wallet.address() => {
            Err(KeystoreError::WrongAddress { written, found: wallet.address() })
        }
        _ => Ok(wallet),
    }
}

/// The address that a keystore says it holds, without the password. `None`: the file does not say (it need not).
pub fn address(text: &str) -> Result<Option<Address>, KeystoreError> {
    parse(text)?.address()
}

#[derive(Serialize, Deserialize)]
struct File {
    #[serde(default)]
    address: Option<String>,
    id: String,
    version: u32,
    // The JavaScript SDK writes "Crypto", geth "crypto"; both are in the wild.
    #[serde(rename = "Crypto", alias = "crypto")]
    crypto: Crypto,
}

#[derive(Serialize, Deserialize)]
struct Crypto {
    cipher: String,
    cipherparams: CipherParams,
    ciphertext: String,
    #[serde(flatten)]
    kdf: Kdf,
    mac: String,
}

#[derive(Serialize, Deserialize)]
struct CipherParams {
    iv: String,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kdf", content = "kdfparams", rename_all = "lowercase")]
enum Kdf {
    Scrypt { dklen: u32, n: u64, p: u32, r: u32, salt: String },
    Pbkdf2 { c: u32, dklen: u32, prf: String, salt: String },
}

impl File {
    fn address(&self) -> Result<Option<Address>, KeystoreError> {
        let Some(text) = self.address.as_deref() else { return Ok(None) };
        text.parse().map(Some).map_err(|_| KeystoreError::Field { name: "address", expected: 20 })
    }
}

fn parse(text: &str) -> Result<File, KeystoreError> {
    if text.len() > MAX_BYTES {
        return Err(KeystoreError::TooLarge { found: text.len() });
    }
    let file: File = serde_json::from_str(text).map_err(|cause| KeystoreError::Json(cause.to_string()))?;
    if file.version != 3 {
        return Err(KeystoreError::Unsupported { what: "version", found: file.version.to_string(), expected: "3" });
    }
    if file.crypto.cipher != "aes-128-ctr" {
        let found = file.crypto.cipher;
        return Err(KeystoreError::Unsupported { what: "cipher", found, expected: "aes-128-ctr" });
    }
    Ok(file)
}

fn derive(kdf: &Kdf, password: &str) -> Result<Zeroizing<[u8; 32]>, KeystoreError> {
    let mut key = Zeroizing::new([0_u8; 32]);
    match kdf {
        Kdf::Scrypt { dklen, n, p, r, salt } => {
            check_length(*dklen)?;
            let params = scrypt_params(*n, *r, *p)?;
            scrypt::scrypt(password.as_bytes(), &salt_of(salt)?, &params, key.as_mut())
                .map_err(|_| KeystoreError::Cost { n: *n, r: *r, p: *p })?;
        }
        Kdf::Pbkdf2 { c, dklen, prf, salt } => {
            check_length(*dklen)?;
            if prf != "hmac-sha256" {
                return Err(KeystoreError::Unsupported { what: "prf", found: prf.clone(), expected: "hmac-sha256" });
            }
            if !(1..=MAX_PBKDF2_ROUNDS).contains(c) {
                return Err(KeystoreError::Rounds { found: *c });
            }
            pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), &salt_of(salt)?, *c, key.as_mut());
        }
    }
    Ok(key)
}

fn scrypt_params(n: u64, r: u32, p: u32) -> Result<scrypt::Params, KeystoreError> {
    let refused = KeystoreError::Cost { n, r, p };
    let block = n.saturating_mul(u64::from(r));
    let fits = block.saturating_mul(128) <= MAX_SCRYPT_BYTES && block.saturating_mul(u64::from(p)) <= MAX_SCRYPT_WORK;
    if !n.is_power_of_two() || n < 2 || !fits {
        return Err(refused);
    }
    let Ok(log_n) = u8::try_from(n.ilog2()) else { return Err(refused) };
    scrypt::Params::new(log_n, r, p, 32).map_err(|_| refused)
}

fn check_length(dklen: u32) -> Result<(), KeystoreError> {
    let found = dklen.to_string();
    if dklen == 32 { Ok(()) } else { Err(KeystoreError::Unsupported { what: "dklen", found, expected: "32" }) }
}

fn salt_of(text: &str) -> Result<Vec<u8>, KeystoreError> {
    const_hex::decode(text).map_err(|_| KeystoreError::Field { name: "crypto.kdfparams.salt", expected: 32 })
}

fn field<const N: usize>(name: &'static str, text: &str) -> Result<[u8; N], KeystoreError> {
    const_hex::decode_to_array(text).map_err(|_| KeystoreError::Field { name, expected: N })
}

fn apply_cipher(derived: &[u8; 32], iv: &[u8; 16], bytes: &mut [u8; 32]) {
    let mut key = Zeroizing::new([0_u8; 16]);
    key.copy_from_slice(&derived[..16]);
    ctr::Ctr128BE::<aes::Aes128>::new((&*key).into(), iv.into()).apply_keystream(bytes);
}

fn mac(derived: &[u8; 32], ciphertext: &[u8; 32]) -> [u8; 32] {
    let mut covered = Zeroizing::new([0_u8; 48]);
    covered[..16].copy_from_slice(&derived[16..]);
    covered[16..].copy_from_slice(ciphertext);
    keccak256(covered.as_ref()).0
}

fn random<const N: usize>() -> Result<[u8; N], KeystoreError> {
    let mut bytes = [0_u8; N];
    OsRng.try_fill_bytes(&mut bytes).map_err(|cause| WalletError::Randomness(cause.to_string()))?;
    Ok(bytes)
}

/// Why a keystore is not read or written.
#[derive(Debug, thiserror::Error)]
pub enum KeystoreError {
    /// The MAC does not match.
    #[error("wrong password (or the file's ciphertext is damaged)")]
    WrongPassword,
    /// Not JSON, or not of the shape of version 3.
    #[error("not a keystore of version 3: {0}")]
    Json(String),
    /// Larger than any keystore.
    #[error("not a keystore: {found} bytes, at most {MAX_BYTES} are read")]
    TooLarge {
        /// Bytes found.
        found: usize,
    },
    /// A cipher, KDF setting or version that nobody writes.
    #[error("keystore {what} {found:?} is not supported, expected {expected:?}")]
    Unsupported {
        /// Which setting.
        what: &'static str,
        /// What the file says.
        found: String,
        /// What is read.
        expected: &'static str,
    },
    /// scrypt parameters out of bounds: reading them could exhaust the machine.
    #[error("keystore scrypt cost n={n} r={r} p={p} is out of bounds")]
    Cost {
        /// CPU and memory cost.
        n: u64,
        /// Block size.
        r: u32,
        /// Parallelism.
        p: u32,
    },
    /// PBKDF2 rounds out of bounds.
    #[error("keystore pbkdf2 rounds c={found}, expected 1 to {MAX_PBKDF2_ROUNDS}")]
    Rounds {
        /// Rounds found.
        found: u32,
    },
    /// A hexadecimal field of another length or alphabet.
    #[error("keystore field {name}: not {expected} bytes in hexadecimal")]
    Field {
        /// Its place in the file.
        name: &'static str,
        /// Bytes expected.
        expected: usize,
    },
    /// The key inside belongs to another account than the file says.
    #[error("keystore says address {written} but holds the key of {found}")]
    WrongAddress {
        /// The file's `address`.
        written: Address,
        /// The key's.
        found: Address,
    },
    /// The decrypted key is no key, or there is no randomness.
    #[error(transparent)]
    Wallet(#[from] WalletError),
}

#[cfg(test)]
#[path = "keystore_tests.rs"]
mod tests;
