//! A private key under a passphrase: PBES2 (RFC 8018 6.2) around PKCS#8 (RFC 5958 3), as OpenSSL has it (A25).
//! The costs that a file asks for are bounded before they are paid.

use crate::KeyError;
use pkcs8::der::{Decode, Encode};
use pkcs8::pkcs5::pbes2::{Kdf, Parameters};
use pkcs8::pkcs5::{EncryptionScheme, scrypt};
use pkcs8::{EncryptedPrivateKeyInfo, PrivateKeyInfo};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

/// scrypt as we ask for it: N = 2^14, r = 8, p = 5. 16 MiB of memory: OpenSSL refuses more than 32 MiB unless told.
const LOG_N: u8 = 14;
const R: u32 = 8;
const P: u32 = 5;
/// Most rounds of PBKDF2 in a file: some seconds.
const MAX_ROUNDS: u32 = 10_000_000;
/// Most memory of scrypt in a file, bytes; and most passes over it.
const MAX_SCRYPT_MEMORY: u64 = 32 * 1024 * 1024;
const MAX_SCRYPT_PASSES: u16 = 16;

/// The PKCS#8 inside an `EncryptedPrivateKeyInfo`.
pub(crate) fn decrypt(der: &[u8], passphrase: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let info = EncryptedPrivateKeyInfo::from_der(der)
        .map_err(|_| KeyError::Encryption("something else than PBES2 with PBKDF2 or scrypt, and AES"))?;
    let EncryptionScheme::Pbes2(parameters) = &info.encryption_algorithm else {
        return Err(KeyError::Encryption("PBES1, which is too weak to be read"));
    };
    check_cost(&parameters.kdf)?;
    let inside = parameters
        .decrypt(passphrase, info.encrypted_data)
        .map(Zeroizing::new)
        .map_err(|_| KeyError::WrongPassphrase)?;
    // One wrong passphrase in 256 leaves a sound padding; what is inside is no key then.
    PrivateKeyInfo::from_der(&inside).map_err(|_| KeyError::WrongPassphrase)?;
    Ok(inside)
}

/// An `EncryptedPrivateKeyInfo` around a PKCS#8.
pub(crate) fn encrypt(pkcs8: &[u8], passphrase: &[u8], rng: &mut impl CryptoRng) -> Result<Vec<u8>, KeyError> {
    let failed = || KeyError::Library("encrypt a private key");
    let (mut salt, mut iv) = ([0; 16], [0; 16]);
    rng.fill_bytes(&mut salt);
    rng.fill_bytes(&mut iv);
    let cost = scrypt::Params::new(LOG_N, R, P, 32).map_err(|_| failed())?;
    let parameters = Parameters::scrypt_aes256cbc(cost, &salt, &iv).map_err(|_| failed())?;
    let encrypted_data = &parameters.encrypt(passphrase, pkcs8).map_err(|_| failed())?;
    let info = EncryptedPrivateKeyInfo { encryption_algorithm: parameters.into(), encrypted_data };
    info.to_der().map_err(|_| failed())
}

fn check_cost(kdf: &Kdf<'_>) -> Result<(), KeyError> {
    let bounded = match kdf {
        Kdf::Pbkdf2(cost) => cost.iteration_count <= MAX_ROUNDS,
        Kdf::Scrypt(cost) => {
            let memory = u64::from(cost.block_size).saturating_mul(128).saturating_mul(cost.cost_parameter);
            memory <= MAX_SCRYPT_MEMORY && cost.parallelization <= MAX_SCRYPT_PASSES
        }
        _ => false,
    };
    if bounded {
        return Ok(());
    }
    Err(KeyError::Encryption(
        "a cost beyond the limits: 10,000,000 rounds of PBKDF2, or 32 MiB and 16 passes of scrypt",
    ))
}

#[cfg(test)]
mod tests {
    use super::{KeyError, Parameters, decrypt};
    use crate::PrivateKey;
    use pkcs8::EncryptedPrivateKeyInfo;
    use pkcs8::der::Encode;

    #[test]
    fn a_wrong_passphrase_is_that_error_whatever_its_padding_says() {
        let key = PrivateKey::generate(2048).unwrap().to_pkcs8_pem().unwrap();
        let pkcs8 = crate::pem::parse(&key).unwrap().der;
        // One round: the passphrases are many.
        let parameters = Parameters::pbkdf2_sha256_aes256cbc(1, &[7; 16], &[9; 16]).unwrap();
        let encrypted_data = &parameters.encrypt("right", &pkcs8).unwrap();
        let der = EncryptedPrivateKeyInfo { encryption_algorithm: parameters.clone().into(), encrypted_data };
        let der = der.to_der().unwrap();
        assert_eq!(decrypt(&der, b"right").unwrap()[..], pkcs8[..]);
        let mut well_padded = 0;
        for number in 0..8192_u32 {
            let wrong = number.to_be_bytes();
            assert_eq!(decrypt(&der, &wrong).map(drop), Err(KeyError::WrongPassphrase), "passphrase {number}");
            well_padded += u32::from(parameters.decrypt(wrong, encrypted_data).is_ok());
        }
        assert!(well_padded > 0, "some passphrases must leave a sound padding");
    }
}
