//! PEM armour (RFC 7468): one block, bounded, and no copy of its content left behind in memory.
//! Not a general parser: no headers, no explanatory text, no second block.

use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

/// Largest PEM text read, in bytes: an RSA-8192 private key takes 6.4 KB (A4).
pub(crate) const MAX_PEM_SIZE: usize = 16 * 1024;

/// A PEM block: its label and its DER, zeroed when dropped.
pub(crate) struct Block<'a> {
    pub(crate) label: &'a str,
    pub(crate) der: Zeroizing<Vec<u8>>,
}

/// Reads the one block that `text` holds; `Err` says what is wrong, to be read after "PEM ".
pub(crate) fn parse(text: &str) -> Result<Block<'_>, &'static str> {
    if text.len() > MAX_PEM_SIZE {
        return Err("text is longer than 16384 bytes");
    }
    let text = text.trim();
    let (label, rest) = text
        .strip_prefix("-----BEGIN ")
        .and_then(|rest| rest.split_once("-----"))
        .ok_or("text does not start with a `-----BEGIN …-----` line")?;
    let (body, end) = rest.split_once("-----END ").ok_or("text has no `-----END …-----` line")?;
    if end.strip_suffix("-----") != Some(label) {
        return Err("text does not end with the END line of its BEGIN line");
    }
    let mut packed = Zeroizing::new(Vec::with_capacity(body.len()));
    packed.extend(body.bytes().filter(|byte| !byte.is_ascii_whitespace()));
    let mut der = Zeroizing::new(vec![0; packed.len()]);
    let size = STANDARD.decode_slice(&*packed, &mut der).map_err(|_| "body is not base64")?;
    der.truncate(size);
    Ok(Block { label, der })
}

/// Armours DER under a label: 64 columns, `\n` at every line's end, as OpenSSL and Node write it.
pub(crate) fn armour(label: &str, der: &[u8]) -> Zeroizing<String> {
    let mut packed = Zeroizing::new(String::with_capacity(der.len().div_ceil(3) * 4));
    STANDARD.encode_string(der, &mut packed);
    let lines = packed.len().div_ceil(64);
    let mut text = Zeroizing::new(String::with_capacity(packed.len() + lines + 2 * label.len() + 34));
    for part in ["-----BEGIN ", label, "-----\n"] {
        text.push_str(part);
    }
    let mut rest = packed.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = tail;
    }
    for part in ["-----END ", label, "-----\n"] {
        text.push_str(part);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{armour, parse};

    #[test]
    fn what_is_armoured_parses_back() {
        for size in [0, 1, 47, 48, 49, 2400] {
            let der: Vec<u8> = (0..size).map(|i| u8::try_from(i % 251).unwrap()).collect();
            let text = armour("PUBLIC KEY", &der);
            assert!(text.lines().all(|line| line.len() <= 64));
            let block = parse(&text).unwrap();
            assert_eq!((block.label, &*block.der), ("PUBLIC KEY", &der));
        }
    }

    #[test]
    fn crlf_and_surrounding_blanks_are_taken() {
        let block = parse("\n-----BEGIN X-----\r\nAQID\r\n-----END X-----\r\n").unwrap();
        assert_eq!(*block.der, [1, 2, 3]);
    }

    #[test]
    fn anything_but_one_block_is_refused() {
        let long = "A".repeat(20_000);
        for text in [
            "",
            "AQID",
            "-----BEGIN X-----",
            "-----BEGIN X-----\nAQID\n-----END Y-----",
            "-----BEGIN X-----\nAQ!D\n-----END X-----",
            "-----BEGIN X-----\nAQI\n-----END X-----",
            "hello -----BEGIN X-----\nAQID\n-----END X-----",
            "-----BEGIN X-----\nAQID\n-----END X-----\n-----BEGIN X-----\nAQID\n-----END X-----",
            "-----BEGIN X-----\nP: v\n\nAQID\n-----END X-----",
            &long,
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
