//! The result digest, computed again from decrypted files: what the chain knows of a result that has no receipt. It covers
//! the contents that `computed.json` names, without their names (`iexec_protocol::result::digest`).

use std::{
    collections::BTreeMap,
    io::{self, Read},
};

use iexec_archive::{Kind, Visit};
use iexec_protocol::{
    B256,
    id::{Sha256, TaskId},
    result::{Computed, MAX_COMPUTED, digest},
};
use sha2::Digest as _;

use super::facts::{Facts, OnChain};
use crate::failure::Failure;

const FACT: &str = "that the files are those of the task";
const COMPUTED: &str = "computed.json";
/// Where an app writes, in `computed.json` and, of some writers, in the zip.
const OUTPUT: &str = "iexec_out";

/// Files being counted.
pub(super) struct Recount {
    task: TaskId,
    stated: B256,
    computed: Option<Vec<u8>>,
    /// By path, without `iexec_out/`.
    files: BTreeMap<String, File>,
}

#[derive(Clone, Copy)]
struct File {
    sha256: Sha256,
    empty: bool,
}

impl Recount {
    /// For a task whose result the chain has; the fact says why it cannot be.
    pub(super) fn new(on_chain: Result<OnChain, Failure>, facts: &mut Facts) -> Option<Self> {
        match on_chain {
            Ok(found) if found.result_digest.is_zero() => {
                facts.not_verifiable(FACT, "the task has no result on chain");
                None
            }
            Ok(OnChain { task, result_digest, .. }) => {
                Some(Self { task, stated: result_digest, computed: None, files: BTreeMap::new() })
            }
            Err(failure) => {
                facts.not_verifiable(FACT, failure.message);
                None
            }
        }
    }

    /// Why there is nothing to compare with, where no task is named.
    pub(super) fn unknown_task(facts: &mut Facts) {
        facts.not_verifiable(FACT, "name the task with --task, or the file <taskid>.zip");
    }

    /// Takes a file on its way to `then`.
    pub(super) fn see(
        &mut self,
        name: &str,
        kind: Kind,
        content: &mut dyn Read,
        then: &mut Visit<'_>,
    ) -> io::Result<()> {
        let path = name.strip_prefix(OUTPUT).and_then(|path| path.strip_prefix('/')).unwrap_or(name).to_owned();
        if kind == Kind::Folder {
            return then(name, kind, content);
        }
        let kept = (path == COMPUTED).then(Vec::new);
        let mut passing = Passing { inner: content, sha256: sha2::Sha256::new(), size: 0, kept };
        then(name, kind, &mut passing)?;
        super::extract::copy(&mut passing, &mut io::sink())?;
        let Passing { sha256, size, kept, .. } = passing;
        self.computed = kept.or_else(|| self.computed.take());
        let sha256 = Sha256(B256::from(<[u8; 32]>::from(sha256.finalize())));
        self.files.insert(path, File { sha256, empty: size == 0 });
        Ok(())
    }

    /// Compares with the chain. What cannot be computed is not verifiable; another digest is refused.
    pub(super) fn check(&self, facts: &mut Facts) -> Result<(), Failure> {
        let Some(computed) = &self.computed else {
            facts.not_verifiable(FACT, "the result has no computed.json");
            return Ok(());
        };
        let computed = Computed::parse(computed, false).or_else(|error| {
            // A callback's result is the bytes, not the files.
            Computed::parse(computed, true).map_err(|_| error)
        });
        let found = match computed {
            Ok(Computed::Callback(bytes)) => vec![digest::callback(&bytes)],
            Ok(Computed::Path(path)) => self.digests(&path),
            Err(error) => {
                facts.not_verifiable(FACT, error);
                return Ok(());
            }
        };
        if found.contains(&self.stated) {
            facts.verified(format!("the decrypted files have the result digest of task {} on chain", self.task));
            return Ok(());
        }
        let found = found.first().map_or_else(|| "none: what computed.json names is not there".into(), B256::to_string);
        let message = format!(
            "the decrypted files have the result digest {found}, the chain has {} for task {}",
            self.stated, self.task
        );
        Err(Failure::user("OtherResult", message).hint("do not trust this archive; nothing of it was kept"))
    }

    /// The digests that iExec's programs have for the output at `path`. Of a folder they are two: that written in Java
    /// counts empty files, that in Rust does not.
    fn digests(&self, path: &str) -> Vec<B256> {
        let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        let path = parts.strip_prefix(&[OUTPUT]).unwrap_or(&parts).join("/");
        if let Some(file) = self.files.get(&path) {
            return vec![digest::file(file.sha256)];
        }
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        let child = |name: &str| name.strip_prefix(&prefix).is_some_and(|rest| !rest.contains('/'));
        let children: Vec<File> = self.files.iter().filter(|(name, _)| child(name)).map(|(_, file)| *file).collect();
        if children.is_empty() {
            return Vec::new();
        }
        let of =
            |files: &mut dyn Iterator<Item = &File>| digest::folder(&files.map(|file| file.sha256).collect::<Vec<_>>());
        vec![of(&mut children.iter()), of(&mut children.iter().filter(|file| !file.empty))]
    }
}

/// A file's bytes, digested as they pass.
struct Passing<'a> {
    inner: &'a mut dyn Read,
    sha256: sha2::Sha256,
    size: u64,
    /// The bytes themselves, one more than `computed.json` may have.
    kept: Option<Vec<u8>>,
}

impl Read for Passing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let bytes = &buffer[..count];
        self.sha256.update(bytes);
        self.size += count as u64;
        if let Some(kept) = &mut self.kept {
            let room = (MAX_COMPUTED + 1).saturating_sub(kept.len());
            kept.extend_from_slice(&bytes[..room.min(count)]);
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{result::facts::TrustOptions, screen::Screen};

    fn recount(stated: &str, files: &[(&str, &str)]) -> Result<Facts, Failure> {
        let on_chain = OnChain { task: TaskId(B256::ZERO), result_digest: stated.parse().unwrap(), challenges: vec![] };
        let mut facts = Facts::new(Screen::new(true, true));
        let mut recount = Recount::new(Ok(on_chain), &mut facts).unwrap();
        for (name, content) in files {
            recount.see(name, Kind::File, &mut content.as_bytes(), &mut |_, _, _| Ok(())).unwrap();
        }
        recount.check(&mut facts).map(|()| facts)
    }

    fn strict() -> TrustOptions {
        TrustOptions { require_verified: true, ..TrustOptions::default() }
    }

    const BOTH: &str = r#"{"deterministic-output-path":"/iexec_out/out"}"#;
    const TWO: &str = "0xcc77508549295dd5de5876a2f4f00d4c3c27a547c6403450e43ab4de191bf1bc";

    /// Known answers of iExec's post-compute, in Java and in Rust.
    #[test]
    fn the_digest_of_the_files_is_that_of_iexecs_programs() {
        let ab = "0x9357c59d3ff5027438ddab3b1655da04ba890e0a43fac9d9568f78941d4b5a1f";
        let abe = "0x6398eb4d4219251dbe5a8c3a1e9ca51d852eb1fb59b172de784a9fafd21dad58";
        let hello = "0x315f5bdb76d078c43b8ac0064e4a0164612b1fce77c869345bfc94c75894edd3";
        let one = r#"{"deterministic-output-path":"/iexec_out/my-result.txt"}"#;
        let callback = r#"{"callback-data":"0x000000000000000000000000000000000000000000000000000000000000000a"}"#;
        let cases: &[(&str, &[(&str, &str)])] = &[
            (TWO, &[("out/result1.txt", "A result"), ("out/result2.txt", "Another result"), (COMPUTED, BOTH)]),
            (
                TWO,
                &[
                    ("iexec_out/out/1", "A result"),
                    ("iexec_out/out/2", "Another result"),
                    ("iexec_out/computed.json", BOTH),
                ],
            ),
            (ab, &[(COMPUTED, BOTH), ("out/a.txt", "a"), ("out/b.txt", "b"), ("out/deep/c.txt", "c"), ("other", "x")]),
            (ab, &[(COMPUTED, BOTH), ("out/a.txt", "a"), ("out/b.txt", "b"), ("out/empty.txt", "")]),
            (abe, &[(COMPUTED, BOTH), ("out/a.txt", "a"), ("out/b.txt", "b"), ("out/empty.txt", "")]),
            (hello, &[(COMPUTED, one), ("my-result.txt", "Hello, world!")]),
            ("0xc65a7bb8d6351c1cf70c95a316cc6a92839c986682d98bc35f958f4883f9d2a8", &[(COMPUTED, callback)]),
        ];
        for (stated, files) in cases {
            assert!(recount(stated, files).is_ok_and(|facts| facts.require(&strict()).is_ok()), "{stated} {files:?}");
        }
    }

    #[test]
    fn another_digest_is_refused_and_none_is_said() {
        let altered =
            recount(TWO, &[("out/1", "A result"), ("out/2", "another result"), (COMPUTED, BOTH)]).unwrap_err();
        assert!(
            altered.message.ends_with(&format!("the chain has {TWO} for task 0x{}", "00".repeat(32))),
            "{}",
            altered.message
        );
        let gone = recount(TWO, &[(COMPUTED, BOTH)]).unwrap_err();
        assert!(gone.message.contains("what computed.json names is not there"), "{}", gone.message);
        for (files, why) in [
            (&[("out/1", "x")][..], "the result has no computed.json"),
            (&[(COMPUTED, "{}")], "computed.json has no \"deterministic-output-path\""),
        ] {
            let told = recount(TWO, files).unwrap().require(&strict()).unwrap_err();
            assert!(told.message.ends_with(why), "{}", told.message);
        }
    }
}
