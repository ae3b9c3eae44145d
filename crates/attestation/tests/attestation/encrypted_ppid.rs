//! Quotes of real machines that name their platform by an encrypted PPID, which is not read, in place of the PCK chain.

use iexec_attestation::needs;

use crate::known::{Recorded, lenient, sgx, tdx};

/// Encrypted PPID (RSA-2048 or RSA-3072), CPU SVN, PCE SVN, PCE id.
const SIZES: [(u16, usize); 2] = [(2, 256 + 16 + 2 + 2), (3, 384 + 16 + 2 + 2)];

fn number(bytes: &[u8]) -> usize {
    usize::try_from(u32::from_le_bytes(bytes.try_into().unwrap())).unwrap()
}

/// The same quote with other certification data at `at`: nothing signs that. `lengths` are of what it lies in.
fn with(recorded: Recorded, at: usize, lengths: &[usize], kind: u16, size: usize) -> Recorded {
    let mut quote = recorded.quote.clone();
    let length = number(&quote[at + 2..at + 6]);
    quote.splice(at + 6..at + 6 + length, vec![7; size]);
    quote[at..at + 2].copy_from_slice(&kind.to_le_bytes());
    for place in lengths.iter().copied().chain([at + 2]) {
        let changed = number(&quote[place..place + 4]) + size - length;
        quote[place..place + 4].copy_from_slice(&u32::try_from(changed).unwrap().to_le_bytes());
    }
    Recorded { quote, ..recorded }
}

#[test]
fn a_quote_with_an_encrypted_ppid_is_refused_in_words_that_help() {
    for (kind, size) in SIZES {
        for recorded in [with(sgx(), 1046, &[432], kind, size), with(tdx(), 1252, &[632, 766], kind, size)] {
            let refused = recorded.appraise(&lenient()).unwrap_err();
            let expected =
                format!("its certification data is of type {kind}, an encrypted PPID; 5, the PCK chain, is read");
            assert_eq!(refused.check(), "format");
            assert!(refused.to_string().contains(&expected), "{refused}");
            assert_eq!(needs(&recorded.evidence()), Err(refused));
        }
    }
}
