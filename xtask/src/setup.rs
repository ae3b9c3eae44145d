//! Puts in place what the project runs on and does not contain: anvil and the published contracts below `devnet/`, a
//! container runtime, and what tests use. Pinned, verified, and quick when everything is there already.

mod debian;
mod python;

use std::fs;
use std::io::Read;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use sha2::{Digest, Sha512};

use crate::command;

/// The package is 6 MB; its files unpack to 40 MB.
const MAX_PACKAGE: u64 = 64 << 20;
const MAX_UNPACKED: u64 = 512 << 20;
/// Installs what is missing. A second call finds everything and takes milliseconds.
pub(crate) fn run() -> Result<()> {
    let devnet = Path::new(env!("CARGO_MANIFEST_DIR")).join("../devnet");
    let cache = devnet.join(".cache");
    fs::create_dir_all(&cache).with_context(|| format!("cannot create {}", cache.display()))?;
    node_modules(&devnet, &cache)?;
    contracts(&devnet, &cache)?;
    debian::for_network()
}

/// Installs what tests use besides: in CI all of it; elsewhere what can be, and yields what is not there.
pub(crate) fn for_tests() -> Result<Vec<String>> {
    let mut absent = debian::for_tests()?;
    match python::schemathesis() {
        Ok(()) => {}
        Err(error) if command::in_ci() => return Err(error),
        Err(error) => absent.push(format!("not run: what needs schemathesis: {error:#}")),
    }
    Ok(absent)
}

/// `npm ci` of devnet/package-lock.json, whose integrity hashes npm checks. No package's scripts are run.
fn node_modules(devnet: &Path, cache: &Path) -> Result<()> {
    let lock = fs::read_to_string(devnet.join("package-lock.json")).context("cannot read devnet/package-lock.json")?;
    let installed = cache.join("package-lock.installed.json");
    let present =
        devnet.join("node_modules/rlc-faucet-contract").exists() && devnet.join("node_modules/@foundry-rs").exists();
    if present && fs::read_to_string(&installed).is_ok_and(|text| text == lock) {
        return Ok(());
    }
    eprintln!("setup: installing devnet/node_modules (anvil, the RLC contract)");
    npm(devnet, &["ci", "--ignore-scripts", "--no-audit", "--no-fund"])?;
    write(&installed, lock.as_bytes())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pin {
    package: String,
    version: String,
    integrity: String,
}

/// The PoCo contracts by `npm pack`, since `npm ci` of that package fails on dependencies that it needs for building only.
fn contracts(devnet: &Path, cache: &Path) -> Result<()> {
    let text = fs::read(devnet.join("poco.json")).context("cannot read devnet/poco.json")?;
    let pin: Pin = serde_json::from_slice(&text).context("devnet/poco.json")?;
    let target = cache.join(format!("poco-{}", pin.version));
    let stamp = target.join(".integrity");
    if fs::read_to_string(&stamp).is_ok_and(|found| found == pin.integrity) {
        return Ok(());
    }
    eprintln!("setup: fetching {} {}", pin.package, pin.version);
    let work = tempfile::tempdir_in(cache).context("cannot create a directory in devnet/.cache")?;
    let destination = work.path().to_str().context("the project's path is not UTF-8")?;
    let name = format!("{}@{}", pin.package, pin.version);
    npm(devnet, &["pack", &name, "--ignore-scripts", "--silent", "--pack-destination", destination])?;
    let package = verified(work.path(), &pin)?;
    let unpacked = work.path().join("unpacked");
    unpack(&package, &unpacked).with_context(|| format!("cannot unpack {name}"))?;
    write(&unpacked.join(".integrity"), pin.integrity.as_bytes())?;
    if target.exists() {
        fs::remove_dir_all(&target).with_context(|| format!("cannot replace {}", target.display()))?;
    }
    fs::rename(&unpacked, &target).with_context(|| format!("cannot create {}", target.display()))
}

/// The one `.tgz` in `dir`, if its SHA-512 is the pinned one (Subresource Integrity's form).
fn verified(dir: &Path, pin: &Pin) -> Result<Vec<u8>> {
    let files = fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<PathBuf>>>()?;
    let archive = files.iter().find(|path| path.extension().is_some_and(|extension| extension == "tgz"));
    let archive = archive.with_context(|| format!("npm pack left no archive of {}", pin.package))?;
    let mut bytes = Vec::new();
    fs::File::open(archive)?.take(MAX_PACKAGE + 1).read_to_end(&mut bytes)?;
    ensure!(bytes.len() as u64 <= MAX_PACKAGE, "{} is larger than {MAX_PACKAGE} bytes", pin.package);
    let found = format!("sha512-{}", BASE64_STANDARD.encode(Sha512::digest(&bytes)));
    ensure!(
        found == pin.integrity,
        "{} {} has integrity {found}, devnet/poco.json expects {}",
        pin.package,
        pin.version,
        pin.integrity
    );
    Ok(bytes)
}

/// Files only, below `package/` only.
fn unpack(package: &[u8], into: &Path) -> Result<()> {
    let plain = flate2::read::GzDecoder::new(package).take(MAX_UNPACKED);
    let mut archive = tar::Archive::new(plain);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let inner: PathBuf = path.components().skip(1).collect();
        let harmless = inner.components().all(|part| matches!(part, Component::Normal(_)));
        ensure!(harmless, "entry {} leaves the package", path.display());
        if entry.header().entry_type().is_file() {
            let target = into.join(inner);
            fs::create_dir_all(target.parent().unwrap_or(into))?;
            std::io::copy(&mut entry, &mut fs::File::create(&target)?)?;
        }
    }
    Ok(())
}

fn npm(dir: &Path, args: &[&str]) -> Result<()> {
    let program = if cfg!(windows) { "npm.cmd" } else { "npm" };
    let mut command = Command::new(program);
    command.args(args).current_dir(dir).stdin(Stdio::null()).stdout(Stdio::null());
    let output = match command.output() {
        Ok(output) => output,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
            bail!("npm is not installed; hint: install Node.js 20 or later (https://nodejs.org)")
        }
        Err(cause) => return Err(cause).context("cannot run npm"),
    };
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    let errors: Vec<_> = words.lines().filter(|line| line.starts_with("npm error")).take(8).collect();
    bail!(
        "npm {} failed ({}); hint: is the npm registry reachable?\n{}",
        args.join(" "),
        output.status,
        errors.join("\n")
    )
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let dir = path.parent().unwrap_or_else(|| Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    std::io::Write::write_all(&mut file, bytes)?;
    file.persist(path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(name: &str) -> Vec<u8> {
        let mut header = tar::Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(2);
        header.set_cksum();
        let mut builder = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
        builder.append(&header, &b"{}"[..]).unwrap();
        builder.into_inner().unwrap().finish().unwrap()
    }

    #[test]
    fn a_package_unpacks_below_its_directory_and_nowhere_else() {
        let dir = tempfile::tempdir().unwrap();
        let into = dir.path().join("in");
        unpack(&archive("package/a/b.json"), &into).unwrap();
        assert_eq!(fs::read(into.join("a/b.json")).unwrap(), b"{}");
        for hostile in ["package/../../x.json", "package/a/../../../x.json"] {
            assert!(unpack(&archive(hostile), &into).is_err(), "{hostile}");
        }
        assert!(!dir.path().join("x.json").exists());
    }

    #[test]
    fn another_package_than_the_pinned_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("p.tgz"), b"other").unwrap();
        let pin = Pin { package: "p".into(), version: "1".into(), integrity: "sha512-AAAA".into() };
        let message = verified(dir.path(), &pin).unwrap_err().to_string();
        assert!(message.contains("has integrity sha512-") && message.contains("expects sha512-AAAA"), "{message}");
    }
}
