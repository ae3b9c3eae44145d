//! An image's documents, from a registry, and a deal's arguments: configuration, manifest, arguments, a zero byte between
//! them. The fuzzer cannot make digests: `@` in the manifest stands for that of the configuration.

#![no_main]

use libfuzzer_sys::fuzz_target;

use iexec_protocol::{
    id::Sha256,
    image::{Image, split_args},
};

fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.splitn(3, |byte| *byte == 0);
    let (config, manifest) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let words = split_args(std::str::from_utf8(parts.next().unwrap_or_default()).unwrap_or_default());
    let digest = format!("sha256:{}", Sha256::of(config).to_string().trim_start_matches("0x"));
    let manifest: Vec<u8> = manifest
        .iter()
        .flat_map(|byte| if *byte == b'@' { digest.as_bytes() } else { std::slice::from_ref(byte) })
        .copied()
        .collect();
    let _ = Image::config_digest(&manifest);
    if let (Ok(image), Ok(words)) = (Image::parse(&manifest, config), words) {
        let command = image.command(&words);
        assert!(words.is_empty() || command.ends_with(&words), "{command:?} does not end with {words:?}");
    }
});
