//! schemathesis, which tries the HTTP interfaces against their OpenAPI documents, in a virtual environment of its own.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use iexec_e2e::workspace;

/// Installs what `crates/e2e/python/requirements.txt` pins, once; pip checks each file's hash. The program is then
/// `target/tools/python/bin/schemathesis`.
pub(super) fn schemathesis() -> Result<()> {
    let lock = workspace::root().join("crates/e2e/python/requirements.txt");
    let wanted = fs::read(&lock).with_context(|| format!("cannot read {}", lock.display()))?;
    let folder = workspace::target().join("tools/python");
    let stamp = folder.join("requirements.installed.txt");
    if fs::read(&stamp).ok().as_ref() == Some(&wanted) && folder.join("bin/schemathesis").is_file() {
        return Ok(());
    }
    eprintln!("setup: installing schemathesis below {}", folder.display());
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    let pip =
        ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:", "--require-hashes"];
    run(Command::new(folder.join("bin/python")).args(pip).arg("--requirement").arg(&lock))?;
    super::write(Path::new(&stamp), &wanted)
}

fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {program}"))?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} failed ({})\n{}", output.status, words.trim_end());
    Ok(())
}
