//! A search for planted values in everything that was shown, in each form that they may have.

use std::path::Path;

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// What may be nowhere, and everything that was shown.
#[derive(Default)]
pub struct Search {
    pub planted: Vec<(&'static str, String)>,
    pub shown: Vec<(String, Vec<u8>)>,
}

impl Search {
    pub fn plant(&mut self, what: &'static str, value: impl Into<String>) -> String {
        let value = value.into();
        self.planted.push((what, value.clone()));
        value
    }

    pub fn show(&mut self, place: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.shown.push((place.into(), bytes.into()));
    }

    /// All files below.
    pub fn show_folder(&mut self, folder: &Path) {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.path().is_dir() {
                self.show_folder(&entry.path());
            } else {
                self.show(entry.path().display().to_string(), std::fs::read(entry.path()).unwrap());
            }
        }
    }

    pub fn finds_nothing(&self) {
        for (what, value) in &self.planted {
            for form in forms(value) {
                for (place, bytes) in &self.shown {
                    let found = bytes.windows(form.len()).any(|window| window.eq_ignore_ascii_case(&form));
                    assert!(!found, "the {what} is in {place}, as {}", String::from_utf8_lossy(&form));
                }
            }
        }
    }
}

/// As it is, in hex, and in base64 wherever it begins; keys in hex as bytes, too.
fn forms(value: &str) -> Vec<Vec<u8>> {
    let mut plain = vec![value.as_bytes().to_vec()];
    plain.extend(const_hex::decode(value).ok().filter(|bytes| bytes.len() >= 16));
    let mut forms = plain.clone();
    for bytes in plain {
        forms.push(const_hex::encode(&bytes).into_bytes());
        for skip in 0..3 {
            // The first and last characters hold neighbours' bits.
            let shifted = STANDARD.encode([&[0; 2][..skip.min(2)], &bytes].concat());
            let text = shifted.trim_end_matches('=');
            forms.push(text.as_bytes()[4.min(text.len())..text.len() - 1].to_vec());
        }
    }
    forms.retain(|form| form.len() >= 8);
    forms
}

#[test]
fn what_is_searched_for_is_found_in_every_form() {
    let (value, key) = ("planted secret 12345", "9d1cf0b3a5e27846d19bc3a40f5e6d7c8b9a0f1e2d3c4b5a69788796a5b4c3d2");
    let bytes = const_hex::decode(key).unwrap();
    for (what, shown) in [
        (value, format!("cause={value}").into_bytes()),
        (value, STANDARD.encode(value).into_bytes()),
        (value, STANDARD.encode(format!("a{value}")).into_bytes()),
        (value, STANDARD.encode(format!("ab{value}c")).into_bytes()),
        (value, const_hex::encode_upper(value).into_bytes()),
        (key, format!("key=0x{key}").into_bytes()),
        (key, bytes.clone()),
        (key, STANDARD.encode(&bytes).into_bytes()),
    ] {
        let found =
            forms(what).iter().any(|form| shown.windows(form.len()).any(|window| window.eq_ignore_ascii_case(form)));
        assert!(found, "{}", String::from_utf8_lossy(&shown));
    }
}
