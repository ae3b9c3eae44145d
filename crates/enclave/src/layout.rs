//! Where things lie inside the container, and what must hold of them before a secret is asked for.

use std::{fs, path::PathBuf};

use iexec_protocol::{
    cause::Cause,
    image::{Image, MAX_DOCUMENT},
    session::paths,
};
use nix::sys::statfs::{TMPFS_MAGIC, statfs};

use crate::{
    failure::{Failure, OrFail as _},
    file,
};

/// Paths of the container; `docs/spec/session.md` says who mounts what.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The image's manifest.
    pub manifest: PathBuf,
    /// The image's configuration.
    pub config: PathBuf,
    /// The simulated platform's file.
    #[cfg(feature = "simulated")]
    pub platform: PathBuf,
    /// Linux' folder for reports of confidential machines (configfs-tsm).
    pub tsm: PathBuf,
    /// TDX' run-time measurement 3 in sysfs.
    pub rtmr3: PathBuf,
    /// Gramine's pseudo-folder.
    pub gramine: PathBuf,
    /// Ciphertext and public files that the worker fetched.
    pub fetched: PathBuf,
    /// Where the archive goes.
    pub archive: PathBuf,
    /// The app's input.
    pub input: PathBuf,
    /// The app's output.
    pub output: PathBuf,
}

impl Layout {
    /// The paths that every container has.
    pub fn container() -> Self {
        Self {
            manifest: paths::MANIFEST.into(),
            config: paths::CONFIG.into(),
            #[cfg(feature = "simulated")]
            platform: paths::SIMULATED_PLATFORM.into(),
            tsm: paths::TSM_REPORTS.into(),
            rtmr3: paths::TDX_RTMR3.into(),
            gramine: "/dev/attestation".into(),
            fetched: paths::FETCHED.into(),
            archive: paths::ARCHIVE.into(),
            input: paths::IN.into(),
            output: paths::OUT.into(),
        }
    }

    /// The image's documents; the configuration is the manifest's.
    pub(crate) fn image(&self) -> Result<Image, Failure> {
        let read = |path: &PathBuf| {
            file::read(path, MAX_DOCUMENT).or_fail(Cause::TeePreparationFailed, format_args!("{}", path.display()))
        };
        Image::parse(&read(&self.manifest)?, &read(&self.config)?).map_err(Failure::unprepared)
    }

    /// Plaintext stays in memory: the app's folders must be tmpfs, not the host's disk.
    pub(crate) fn require_memory(&self) -> Result<(), Failure> {
        for folder in [&self.input, &self.output] {
            let kind = statfs(folder).or_fail(Cause::TeePreparationFailed, format_args!("{}", folder.display()))?;
            if kind.filesystem_type() != TMPFS_MAGIC {
                return Err(Failure::unprepared(format_args!("{} must be a tmpfs", folder.display())));
            }
        }
        Ok(())
    }

    /// Nothing in the app's folders may come from the host.
    pub(crate) fn require_empty(&self) -> Result<(), Failure> {
        for folder in [&self.input, &self.output] {
            let mut entries =
                fs::read_dir(folder).or_fail(Cause::TeePreparationFailed, format_args!("{}", folder.display()))?;
            if entries.next().is_some() {
                return Err(Failure::unprepared(format_args!("{} must be empty", folder.display())));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) fn in_folder(root: &std::path::Path) -> Layout {
    let at = |name: &str| root.join(name);
    let layout = Layout {
        manifest: at("manifest.json"),
        config: at("config.json"),
        #[cfg(feature = "simulated")]
        platform: at("platform.json"),
        tsm: at("tsm"),
        rtmr3: at("rtmr3:sha384"),
        gramine: at("attestation"),
        fetched: at("fetched"),
        archive: at("archive"),
        input: at("in"),
        output: at("out"),
    };
    for folder in [&layout.fetched, &layout.archive, &layout.input, &layout.output] {
        fs::create_dir(folder).unwrap();
    }
    layout
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_that_the_host_filled_before_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let layout = in_folder(dir.path());
        assert_eq!(layout.require_empty(), Ok(()));
        fs::write(layout.output.join("computed.json"), "{}").unwrap();
        let failure = layout.require_empty().unwrap_err();
        assert_eq!(failure.cause, Cause::TeePreparationFailed);
        assert!(failure.message.ends_with("out must be empty"), "{failure}");
    }

    #[test]
    fn folders_on_a_disk_are_told_from_folders_in_memory() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Layout { input: "/proc".into(), ..in_folder(dir.path()) };
        assert_eq!(disk.require_memory().unwrap_err().message, "/proc must be a tmpfs");
    }

    #[test]
    fn a_configuration_of_another_image_stops_everything() {
        let dir = tempfile::tempdir().unwrap();
        let layout = in_folder(dir.path());
        let zeros = "0".repeat(64);
        fs::write(&layout.manifest, format!(r#"{{"config":{{"digest":"sha256:{zeros}"}}}}"#)).unwrap();
        fs::write(&layout.config, "{}").unwrap();
        assert_eq!(layout.image().unwrap_err().cause, Cause::TeePreparationFailed);
        fs::remove_file(&layout.config).unwrap();
        assert!(layout.image().unwrap_err().message.contains("config.json"));
    }
}
