//! Where an app or a dataset is, as its contract keeps it: text, or the binary multiaddr that iExec's SDK writes for
//! `/ipfs/Qm…` and `/p2p/Qm…`.

/// Multiaddr protocol code 421 (`/p2p` or `/ipfs`) as a varint, and the length of a SHA-256 multihash with its head.
const P2P: [u8; 3] = [0xa5, 0x03, 0x22];

/// The address as text; `None` if it is neither text nor an IPFS multiaddr.
pub fn text(multiaddr: &[u8]) -> Option<String> {
    if let Some(hash) = multiaddr.strip_prefix(&P2P).filter(|hash| hash.len() == 34 && hash.starts_with(&[0x12, 0x20]))
    {
        return Some(format!("/ipfs/{}", base58(hash)));
    }
    let text = std::str::from_utf8(multiaddr).ok().filter(|text| !text.chars().any(char::is_control));
    text.map(|text| text.trim().to_owned())
}

/// Base 58 with Bitcoin's alphabet, as CID version 0 is written (multiformats).
fn base58(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let mut digits: Vec<u8> = Vec::new();
    for byte in bytes {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            carry += u32::from(*digit) << 8;
            *digit = u8::try_from(carry % 58).unwrap_or_default();
            carry /= 58;
        }
        while carry > 0 {
            digits.push(u8::try_from(carry % 58).unwrap_or_default());
            carry /= 58;
        }
    }
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let digits = digits.iter().rev().map(|digit| char::from(ALPHABET[usize::from(*digit)]));
    std::iter::repeat_n('1', zeros).chain(digits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text_and_an_ipfs_multiaddr_becomes_its_path() {
        let bytes = [P2P.as_slice(), &[0x12, 0x20], &[7; 32]].concat();
        assert_eq!(text(&bytes).as_deref(), Some("/ipfs/QmNp5n7FFav5ZDaHAj6HzuhJ8LDbL1N6NRzAgT6piWS2Kx"));
        assert_eq!(text(&bytes[..36]), None);
        assert_eq!(text(b" http://example.org/cats ").as_deref(), Some("http://example.org/cats"));
        assert_eq!(text(&[0xff, 0xfe]), None);
        assert_eq!(text(b"a\nb"), None);
    }

    /// draft-msporny-base58-03, section 5.
    #[test]
    fn base58_equals_that_of_its_draft() {
        assert_eq!(base58(b"Hello World!"), "2NEpo7TZRRrLZSi2U");
        assert_eq!(base58(&[0, 0, 0x28, 0x7f, 0xb4, 0xcd]), "11233QC4");
    }
}
