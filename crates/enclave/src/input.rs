//! Pre-compute: puts the dataset and the input files where the app reads them. Read-only for the app.

use std::{
    fs::{self, File, Permissions},
    io::{self, Read, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use iexec_protocol::{cause::Cause, id::Sha256};
use sha2::Digest as _;

use crate::{
    dataset,
    failure::{Failure, OrFail as _},
    file,
    layout::Layout,
    plan::{FileName, PreCompute},
};

/// What the app was given, for the receipt.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Given {
    /// SHA-256 of the encrypted dataset.
    pub(crate) dataset: Option<Sha256>,
    /// SHA-256 of each input file, in the deal's order.
    pub(crate) files: Vec<Sha256>,
}

/// Fills the app's input folder.
pub(crate) fn prepare(plan: PreCompute, layout: &Layout) -> Result<Given, Failure> {
    let PreCompute { dataset, inputs } = plan;
    let checksum = dataset.as_ref().map(|dataset| dataset.checksum);
    if let Some(wanted) = dataset {
        let target = layout.input.join(&wanted.name);
        dataset::open(&wanted, &layout.fetched.join("dataset"), &target)?;
        protect(&target)?;
    }
    let files = inputs.iter().zip(1..).map(|(name, number): (&FileName, u32)| {
        let fetched = layout.fetched.join(format!("input-{number}"));
        copy(&fetched, &layout.input.join(name))
            .or_fail(Cause::PreComputeInputFileDownloadFailed, format_args!("input file {number}"))
    });
    Ok(Given { dataset: checksum, files: files.collect::<Result<_, _>>()? })
}

/// Copies and hashes in one reading. A URL that is listed twice has one name: its second copy replaces the first.
fn copy(source: &Path, target: &Path) -> io::Result<Sha256> {
    let mut source = file::open(source)?;
    if target.exists() {
        fs::remove_file(target)?;
    }
    let mut copy = File::create_new(target)?;
    let mut hasher = sha2::Sha256::new();
    let mut chunk = vec![0; 64 * 1024];
    loop {
        let read = source.read(&mut chunk)?;
        if read == 0 {
            break;
        }
        hasher.update(&chunk[..read]);
        copy.write_all(&chunk[..read])?;
    }
    fs::set_permissions(target, Permissions::from_mode(0o444))?;
    Ok(file::digest(hasher))
}

fn protect(dataset: &Path) -> Result<(), Failure> {
    fs::set_permissions(dataset, Permissions::from_mode(0o444))
        .or_fail(Cause::PreComputeSavingPlainDatasetFailed, "the decrypted dataset")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::in_folder;

    fn inputs(names: &[&str]) -> PreCompute {
        PreCompute { dataset: None, inputs: names.iter().map(|name| FileName::parse(name).unwrap()).collect() }
    }

    #[test]
    fn input_files_come_under_their_names_in_the_deals_order() {
        let dir = tempfile::tempdir().unwrap();
        let layout = in_folder(dir.path());
        for (number, text) in [(1, "one"), (2, "two"), (3, "three")] {
            fs::write(layout.fetched.join(format!("input-{number}")), text).unwrap();
        }
        let given = prepare(inputs(&["b", "a", "b"]), &layout).unwrap();
        assert_eq!(given.files, ["one", "two", "three"].map(Sha256::of));
        assert_eq!(fs::read_to_string(layout.input.join("b")).unwrap(), "three");
        assert_eq!(fs::metadata(layout.input.join("a")).unwrap().permissions().mode() & 0o777, 0o444);
    }

    #[test]
    fn an_input_file_that_is_missing_or_a_link_was_not_downloaded() {
        let dir = tempfile::tempdir().unwrap();
        let layout = in_folder(dir.path());
        let failure = prepare(inputs(&["a"]), &layout).unwrap_err();
        assert_eq!(failure.cause, Cause::PreComputeInputFileDownloadFailed);
        std::os::unix::fs::symlink("/etc/hostname", layout.fetched.join("input-1")).unwrap();
        let failure = prepare(inputs(&["a"]), &layout).unwrap_err();
        assert!(failure.message.starts_with("input file 1: "), "{failure}");
    }
}
