//! Tokens of the result proxy's login: JSON Web Tokens (RFC 7519), HS256, with an expiry.

use std::{io::Write as _, path::Path};

use anyhow::Context as _;
use aws_lc_rs::{hmac, rand};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use iexec_protocol::{Address, Timestamp};
use serde_json::json;
use tempfile::NamedTempFile;

/// Seconds that a token is good for: 30 days.
pub(crate) const LIFETIME: u64 = 30 * 24 * 3600;

/// The key that signs tokens.
pub(crate) struct TokenKey(hmac::Key);

impl TokenKey {
    /// Reads the key file, or makes it with 32 random bytes (0600).
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => make(path)?,
            Err(error) => return Err(error).with_context(|| format!("{} cannot be read", path.display())),
        };
        anyhow::ensure!(bytes.len() == 32, "{} must have 32 bytes, it has {}", path.display(), bytes.len());
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    /// A token that says that this wallet logged in.
    pub(crate) fn sign(&self, address: Address, now: Timestamp) -> String {
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let claims = json!({
            "aud": address.to_string(),
            "iss": "iexec-storage",
            "iat": now,
            "exp": now.saturating_add(LIFETIME),
        });
        let signed = format!("{}.{}", part(json!({"alg": "HS256", "typ": "JWT"})), part(claims));
        let tag = hmac::sign(&self.0, signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
    }
}

/// Written aside and renamed: a key file is whole or not there.
fn make(path: &Path) -> anyhow::Result<Vec<u8>> {
    let written = || -> std::io::Result<Vec<u8>> {
        let mut bytes = vec![0; 32];
        rand::fill(&mut bytes).map_err(|_| std::io::Error::other("no randomness"))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut file = NamedTempFile::new_in(folder)?;
        file.write_all(&bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        std::fs::File::open(folder)?.sync_all()?;
        Ok(bytes)
    };
    written().with_context(|| format!("{} cannot be made", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_wallet_expires_and_verifies_after_a_restart() {
        let data = tempfile::tempdir().unwrap();
        let path = data.path().join("token.key");
        let token = TokenKey::open(&path).unwrap().sign(Address::repeat_byte(1), 1000);
        let (signed, tag) = token.rsplit_once('.').unwrap();
        let again = TokenKey::open(&path).unwrap();
        hmac::verify(&again.0, signed.as_bytes(), &URL_SAFE_NO_PAD.decode(tag).unwrap()).unwrap();
        let parts: Vec<serde_json::Value> = signed
            .split('.')
            .map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap())
            .collect();
        assert_eq!(parts[0], json!({"alg": "HS256", "typ": "JWT"}));
        assert_eq!(
            (&parts[1]["aud"], &parts[1]["exp"]),
            (&json!(Address::repeat_byte(1).to_string()), &json!(1000 + LIFETIME))
        );
    }

    #[cfg(unix)]
    #[test]
    fn the_key_is_its_owners_alone_and_a_cut_one_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let data = tempfile::tempdir().unwrap();
        let path = data.path().join("token.key");
        TokenKey::open(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, [1; 5]).unwrap();
        assert!(TokenKey::open(&path).err().unwrap().to_string().contains("must have 32 bytes, it has 5"));
    }
}
