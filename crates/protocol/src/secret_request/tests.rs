use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Vectors {
    key: String,
    signer: Address,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    verb: String,
    kind: String,
    owner: Address,
    name: String,
    value: Option<String>,
    version: String,
    nonce: B256,
    deadline: String,
    audience: String,
    chain_id: u64,
    hash: B256,
    signature: Signature,
}

impl Case {
    fn subject(&self) -> Subject {
        let kind = self.kind.parse::<SecretKind>().ok();
        if self.verb == "list" {
            return Subject::list(self.owner, kind);
        }
        let id = SecretId::new(kind.unwrap(), self.owner, &self.name).unwrap();
        self.value.as_ref().map_or_else(|| Subject::delete(&id), |value| Subject::put(&id, value))
    }

    fn terms(&self) -> Terms {
        Terms {
            version: self.version.parse().unwrap(),
            nonce: self.nonce,
            deadline: self.deadline.parse().unwrap(),
            audience: self.audience.clone(),
        }
    }
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../../../../vectors/secret-request/cases.json")).unwrap()
}

#[test]
fn hashes_and_signatures_equal_those_of_ethers() {
    let vectors = vectors();
    let key = SigningKey::from_hex(&vectors.key).unwrap();
    assert_eq!(key.address(), vectors.signer);
    for case in &vectors.cases {
        let (subject, terms) = (case.subject(), case.terms());
        assert_eq!(subject.verb.name(), case.verb);
        assert_eq!(terms.hash(&subject, case.chain_id), case.hash, "{} {} {}", case.verb, case.kind, case.name);
        let header = terms.sign(&subject, case.chain_id, &key).unwrap();
        assert_eq!(header.signature, case.signature);
        assert_eq!(header.signer(&subject, case.chain_id), Some(vectors.signer));
    }
}

#[test]
fn a_header_reads_back_and_a_malformed_one_is_refused() {
    let case = vectors().cases.remove(0);
    let header = RequestHeader { terms: case.terms(), signature: case.signature };
    let text = header.to_string();
    assert_eq!(text.parse(), Ok(header));
    let of = |json: &str| format!("iexec {}", URL_SAFE_NO_PAD.encode(json)).parse::<RequestHeader>().unwrap_err();
    for json in [
        "{}",
        "[]",
        r#"{"version":-1,"nonce":"0x","deadline":1,"audience":"a","signature":"0x"}"#,
        &String::from_utf8(URL_SAFE_NO_PAD.decode(&text[6..]).unwrap())
            .unwrap()
            .replace("\"audience\"", "\"x\":1,\"audience\""),
    ] {
        assert!(matches!(of(json), RequestHeaderError::Json(_)), "{json}");
    }
    for bad in ["", "iexec", "iexec !", &text[6..], &format!("iexec {}", "A".repeat(MAX_HEADER + 1))] {
        assert_eq!(bad.parse::<RequestHeader>(), Err(RequestHeaderError::Form), "{bad}");
    }
}

#[test]
fn terms_are_good_for_minutes_at_one_sms() {
    let terms = |deadline, audience: &str| Terms { version: 1, nonce: B256::ZERO, deadline, audience: audience.into() };
    let good = "https://sms.example";
    assert_eq!(terms(1001, good).check(1000, good), Ok(()));
    assert_eq!(terms(1600, good).check(1000, good), Ok(()));
    assert_eq!(terms(1000, good).check(1000, good), Err(TermsError::Expired { ago: 0 }));
    assert_eq!(terms(1601, good).check(1000, good), Err(TermsError::Far { ahead: 601 }));
    assert_eq!(terms(u64::MAX, good).check(0, good), Err(TermsError::Far { ahead: u64::MAX }));
    for audience in ["", "https://SMS.example", "https://sms.example/", "http://sms.example"] {
        assert!(matches!(terms(1001, audience).check(1000, good), Err(TermsError::Audience { .. })), "{audience}");
    }
}

#[test]
fn every_field_of_a_request_changes_its_hash() {
    let owner = Address::repeat_byte(1);
    let id = SecretId::Web2 { owner, name: "n".into() };
    let subject = Subject::put(&id, "v");
    let terms = Terms { version: 1, nonce: B256::ZERO, deadline: 1, audience: "a".into() };
    let base = terms.hash(&subject, 1);
    for other in [
        Subject { verb: Verb::Delete, ..subject.clone() },
        Subject { kind: Some(SecretKind::Requester), ..subject.clone() },
        Subject { kind: None, ..subject.clone() },
        Subject { owner: Address::repeat_byte(2), ..subject.clone() },
        Subject { name: "m".into(), ..subject.clone() },
        Subject::put(&id, "w"),
    ] {
        assert_ne!(terms.hash(&other, 1), base, "{other:?}");
    }
    for other in [
        Terms { version: 2, ..terms.clone() },
        Terms { nonce: B256::with_last_byte(1), ..terms.clone() },
        Terms { deadline: 2, ..terms.clone() },
        Terms { audience: "b".into(), ..terms.clone() },
    ] {
        assert_ne!(other.hash(&subject, 1), base, "{other:?}");
    }
    assert_ne!(terms.hash(&subject, 2), base);
}
