//! `age-plugin-testkey`: a stand-in for a hardware key, for tests only. It holds a P-256 key, or one of ML-KEM-768 with P-256,
//! in its identity's text, and unwraps `p256tag` and `mlkem768p256tag` stanzas (C2SP age) without the library that wrote them.
//!
//! `age-plugin-testkey tag|tagpq` makes an identity file on stdout.

use std::{
    collections::HashMap,
    io::{self, Write as _},
};

use age_core::{
    format::{FileKey, Stanza},
    primitives::bech32_encode,
};
use age_plugin::{
    Callbacks, PluginHandler,
    identity::{self, IdentityPluginV1},
    run_state_machine,
};
use anyhow::{Context as _, Result, bail};
use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};
use bech32::Hrp;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _, aead::Aead as _};
use hkdf::Hkdf;
use ml_kem::{
    B32, Ciphertext, EncodedSizeUser as _, KemCore as _, MlKem768,
    kem::{Decapsulate as _, DecapsulationKey},
};
use p256::{PublicKey, SecretKey, ecdh::diffie_hellman, elliptic_curve::sec1::ToEncodedPoint as _};
use rand::RngCore as _;
use sha2::{Digest as _, Sha256};
use sha3::Sha3_256;

const NAME: &str = "testkey";
const POINT: usize = 65;

fn main() -> Result<()> {
    let argument = std::env::args().nth(1).context("expected tag or tagpq")?;
    match argument.strip_prefix("--age-plugin=") {
        Some(machine) => run_state_machine(machine, Plugin).context("the plugin's exchange"),
        None => generate(&argument),
    }
}

/// Prints an identity file with its recipient in a comment.
fn generate(kind: &str) -> Result<()> {
    let mut secret = vec![0; if kind == "tagpq" { 96 } else { 32 }];
    rand::rng().fill_bytes(&mut secret);
    let key = Key::read(&secret)?;
    let recipient = match kind {
        "tag" => bech32_encode(Hrp::parse("age1tag")?, key.point.public_key().to_encoded_point(true).as_bytes()),
        "tagpq" => bech32_encode(Hrp::parse("age1tagpq")?, &key.public()),
        other => bail!("{other:?} is neither tag nor tagpq"),
    };
    let identity = bech32_encode(Hrp::parse(&format!("age-plugin-{NAME}-"))?, &secret).to_uppercase();
    writeln!(io::stdout(), "# public key: {recipient}\n{identity}").context("stdout")
}

struct Plugin;

impl PluginHandler for Plugin {
    type RecipientV1 = std::convert::Infallible;
    type IdentityV1 = Keys;

    fn identity_v1(self) -> io::Result<Keys> {
        Ok(Keys(Vec::new()))
    }
}

struct Keys(Vec<Key>);

impl IdentityPluginV1 for Keys {
    fn add_identity(&mut self, index: usize, _: &str, bytes: &[u8]) -> Result<(), identity::Error> {
        let key = Key::read(bytes).map_err(|error| identity::Error::Identity { index, message: error.to_string() })?;
        self.0.push(key);
        Ok(())
    }

    fn unwrap_file_keys(
        &mut self,
        files: Vec<Vec<Stanza>>,
        mut callbacks: impl Callbacks<identity::Error>,
    ) -> io::Result<HashMap<usize, Result<FileKey, Vec<identity::Error>>>> {
        // As a hardware key would ask to be touched.
        let _ = callbacks.message("testkey: no touch needed")?;
        let opened = |stanzas: &[Stanza]| {
            let found = stanzas.iter().find_map(|stanza| self.0.iter().find_map(|key| key.unwrap(stanza)))?;
            <[u8; 16]>::try_from(found).ok().map(|key| FileKey::new(Box::new(key)))
        };
        let keys = files.iter().enumerate().filter_map(|(index, stanzas)| Some((index, Ok(opened(stanzas)?))));
        Ok(keys.collect())
    }
}

/// A P-256 key, with an ML-KEM-768 key or without.
struct Key {
    point: SecretKey,
    lattice: Option<DecapsulationKey<ml_kem::MlKem768Params>>,
}

impl Key {
    /// 32 bytes of P-256, then perhaps 64 of ML-KEM-768 (d and z, FIPS 203).
    fn read(secret: &[u8]) -> Result<Self> {
        let (point, seeds) = secret.split_at_checked(32).context("too short")?;
        let lattice = match seeds.len() {
            0 => None,
            64 => {
                Some(MlKem768::generate_deterministic(&B32::try_from(&seeds[..32])?, &B32::try_from(&seeds[32..])?).0)
            }
            other => bail!("{other} bytes of seeds"),
        };
        Ok(Self { point: SecretKey::from_slice(point).ok().context("not a P-256 key")?, lattice })
    }

    fn public_point(&self) -> Vec<u8> {
        self.point.public_key().to_encoded_point(false).as_bytes().to_vec()
    }

    /// The public key of the hybrid: lattice, then point.
    fn public(&self) -> Vec<u8> {
        let lattice = self.lattice.as_ref().map(|key| key.encapsulation_key().as_bytes().to_vec());
        [lattice.unwrap_or_default(), self.public_point()].concat()
    }

    /// The file key of a stanza that is this key's.
    fn unwrap(&self, stanza: &Stanza) -> Option<Vec<u8>> {
        let (salt, own, kem) = match (stanza.tag.as_str(), &self.lattice) {
            ("p256tag", None) => {
                let compressed = self.point.public_key().to_encoded_point(true);
                ("age-encryption.org/p256tag", compressed.as_bytes().to_vec(), 0x0010_u16)
            }
            ("mlkem768p256tag", Some(_)) => ("age-encryption.org/mlkem768p256tag", self.public_point(), 0x0050),
            _ => return None,
        };
        let [tag, encapsulated] = stanza.args.as_slice() else { return None };
        let encapsulated = BASE64_STANDARD_NO_PAD.decode(encapsulated).ok()?;
        let material = [&encapsulated, &Sha256::digest(own)[..4]].concat();
        let (expected, _) = Hkdf::<Sha256>::extract(Some(salt.as_bytes()), &material);
        if BASE64_STANDARD_NO_PAD.decode(tag).ok()? != expected[..4] {
            return None;
        }
        let shared = if kem == 0x0010 { self.point_secret(&encapsulated)? } else { self.hybrid_secret(&encapsulated)? };
        open(kem, &shared, salt.as_bytes(), &stanza.body)
    }

    /// DHKEM(P-256, HKDF-SHA256), RFC 9180 4.1.
    fn point_secret(&self, encapsulated: &[u8]) -> Option<Vec<u8>> {
        let suite = [&b"KEM"[..], &[0x00, 0x10]].concat();
        let extracted = labeled_extract(&suite, b"", b"eae_prk", &self.agree(encapsulated)?);
        labeled_expand(&suite, &extracted, b"shared_secret", &[encapsulated, &self.public_point()].concat(), 32)
    }

    /// MLKEM768-P256: both secrets, the point's ciphertext and key, and the label, hashed.
    fn hybrid_secret(&self, encapsulated: &[u8]) -> Option<Vec<u8>> {
        let (lattice, point) = encapsulated.split_at_checked(encapsulated.len().checked_sub(POINT)?)?;
        let ciphertext = Ciphertext::<MlKem768>::try_from(lattice).ok()?;
        let shared = self.lattice.as_ref()?.decapsulate(&ciphertext).ok()?;
        let all = [shared.as_slice(), &self.agree(point)?, point, &self.public_point(), b"MLKEM768-P256"].concat();
        Some(Sha3_256::digest(all).to_vec())
    }

    fn agree(&self, point: &[u8]) -> Option<Vec<u8>> {
        let other = PublicKey::from_sec1_bytes(point).ok()?;
        Some(diffie_hellman(self.point.to_nonzero_scalar(), other.as_affine()).raw_secret_bytes().to_vec())
    }
}

/// HPKE in base mode with HKDF-SHA256 and ChaCha20-Poly1305, one message (RFC 9180 5.1).
fn open(kem: u16, shared: &[u8], info: &[u8], ciphertext: &[u8]) -> Option<Vec<u8>> {
    let suite = [&b"HPKE"[..], &kem.to_be_bytes(), &[0, 1, 0, 3]].concat();
    let context =
        [vec![0], labeled_extract(&suite, b"", b"psk_id_hash", b""), labeled_extract(&suite, b"", b"info_hash", info)]
            .concat();
    let secret = labeled_extract(&suite, shared, b"secret", b"");
    let key = labeled_expand(&suite, &secret, b"key", &context, 32)?;
    let nonce = labeled_expand(&suite, &secret, b"base_nonce", &context, 12)?;
    ChaCha20Poly1305::new_from_slice(&key).ok()?.decrypt(nonce.as_slice().into(), ciphertext).ok()
}

fn labeled_extract(suite: &[u8], salt: &[u8], label: &[u8], material: &[u8]) -> Vec<u8> {
    Hkdf::<Sha256>::extract(Some(salt), &[b"HPKE-v1", suite, label, material].concat()).0.to_vec()
}

fn labeled_expand(suite: &[u8], secret: &[u8], label: &[u8], info: &[u8], size: u16) -> Option<Vec<u8>> {
    let info = [&size.to_be_bytes()[..], b"HPKE-v1", suite, label, info].concat();
    let mut out = vec![0; usize::from(size)];
    Hkdf::<Sha256>::from_prk(secret).ok()?.expand(&info, &mut out).ok()?;
    Some(out)
}
