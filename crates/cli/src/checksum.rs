//! Addresses in JSON as the JavaScript SDK writes them: with their EIP-55 checksum. Whatever serialized them wrote lower case.

use iexec_protocol::Address;

/// `"0x`, 40 hex digits, `"`.
const QUOTED: usize = 44;

/// The JSON text with the checksum of every string that is an address.
pub(crate) fn checksummed(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find("\"0x") {
        let (before, candidate) = rest.split_at(at);
        out.push_str(before);
        let taken = if let Some(address) = candidate.get(..QUOTED).and_then(address) {
            out.push('"');
            out.push_str(&address.to_checksum(None));
            out.push('"');
            QUOTED
        } else {
            out.push('"');
            1
        };
        rest = &candidate[taken..];
    }
    out + rest
}

fn address(quoted: &str) -> Option<Address> {
    let digits = quoted.strip_prefix("\"0x")?.strip_suffix('"')?;
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_nothing_else_get_their_checksum() {
        let json = r#"{"a":"0x7bd4783fdcad405a28052a0d1f11236a741da593","b":"0x12","c":"x\"0x","0x7bd4783fdcad405a28052a0d1f11236a741da593":1}"#;
        let expected = r#"{"a":"0x7bd4783FDCAD405A28052a0d1f11236A741da593","b":"0x12","c":"x\"0x","0x7bd4783FDCAD405A28052a0d1f11236A741da593":1}"#;
        assert_eq!(checksummed(json), expected);
        let hash = format!("\"0x{}\"", "ab".repeat(32));
        assert_eq!(checksummed(&hash), hash);
    }
}
