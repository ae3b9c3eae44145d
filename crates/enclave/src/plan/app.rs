//! The app's process: its command, environment and folder. The image must be the one that the chain names.

use std::collections::BTreeMap;

use iexec_protocol::{
    cause::Cause,
    id::Sha256,
    image::{Image, split_args},
    session::{SecretText, Service},
};

use crate::failure::{Failure, OrFail as _};

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// A folder that every container has and that is in memory.
const DEFAULT_HOME: &str = "/tmp";

/// The second stage.
pub(crate) struct App {
    /// Program and arguments; never empty.
    pub(crate) command: Vec<String>,
    /// The image's variables under the session's, and `PATH` and `HOME`.
    pub(crate) environment: BTreeMap<String, SecretText>,
    /// Working directory.
    pub(crate) folder: String,
}

impl App {
    pub(super) fn parse(service: &Service, image: &Image) -> Result<Self, Failure> {
        let expected =
            Sha256::from_oci(&service.fingerprint).or_fail(Cause::AppImageChecksumMismatch, "fingerprint")?;
        if image.digest() != expected {
            let message = format_args!("the app's checksum is {expected}, this image's {}", image.digest());
            return Err(Failure::new(Cause::AppImageChecksumMismatch, message));
        }
        let arguments = split_args(&service.command).or_fail(Cause::TaskDescriptionInvalid, "iexec_args")?;
        let command = image.command(&arguments);
        if command.first().is_none_or(String::is_empty) {
            return Err(Failure::new(Cause::AppNotFoundLocally, "the image has no entrypoint and no command"));
        }
        if command.iter().any(|word| word.contains('\0')) {
            return Err(Failure::new(Cause::TaskDescriptionInvalid, "iexec_args has a zero byte"));
        }
        let folder = image.config().working_dir.clone().filter(|folder| !folder.is_empty());
        let environment = environment(service, image)?;
        Ok(Self { command, environment, folder: folder.unwrap_or_else(|| "/".to_owned()) })
    }
}

fn environment(service: &Service, image: &Image) -> Result<BTreeMap<String, SecretText>, Failure> {
    let default = [("PATH", DEFAULT_PATH), ("HOME", DEFAULT_HOME)].map(|(name, value)| (name.into(), value.into()));
    let all = default.into_iter().chain(image.env()).map(|(name, value)| (name, SecretText::new(value)));
    let of_session = service.environment.iter().map(|(name, value)| (name.clone(), value.clone()));
    let all: BTreeMap<String, SecretText> = all.chain(of_session).collect();
    let impossible = |(name, value): &(&String, &SecretText)| {
        name.is_empty() || name.contains(['=', '\0']) || value.expose().contains('\0')
    };
    match all.iter().find(impossible) {
        Some((name, _)) => {
            Err(Failure::new(Cause::TaskDescriptionInvalid, format_args!("{name:?} cannot be an environment variable")))
        }
        None => Ok(all),
    }
}
