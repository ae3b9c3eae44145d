//! What goes into the app: a dataset under its key, and public input files.

use std::path::Path;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use iexec_protocol::{
    cause::Cause,
    id::{Sha256, TaskId},
    session::Service,
};
use zeroize::Zeroizing;

use super::{Variables, require_task};
use crate::failure::{Failure, OrFail as _};

/// Most input files of one task.
const MAX_INPUT_FILES: u32 = 1000;

/// The first stage.
#[derive(Default)]
pub(crate) struct PreCompute {
    pub(crate) dataset: Option<Dataset>,
    /// Names of the input files, in the deal's order.
    pub(crate) inputs: Vec<FileName>,
}

/// An encrypted dataset.
pub(crate) struct Dataset {
    /// SHA-256 of the ciphertext, from the chain.
    pub(crate) checksum: Sha256,
    pub(crate) key: DataKey,
    /// The app reads it under this name.
    pub(crate) name: FileName,
}

/// An AES-256 key. Zeroed when dropped, mute.
pub(crate) struct DataKey(Zeroizing<[u8; 32]>);

/// A name inside a folder: no separator, no `.` or `..`, no control character, at most 255 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileName(String);

impl PreCompute {
    /// Reads the stage. It may be missing only where the app expects neither a dataset nor files.
    pub(super) fn parse(service: Option<&Service>, app: &Variables<'_>, task: TaskId) -> Result<Self, Failure> {
        let Some(service) = service else {
            return if expects_nothing(app) {
                Ok(Self::default())
            } else {
                let message = "the session has input for the app and no service \"pre-compute\"";
                Err(Failure::new(Cause::PreComputeTaskIdMissing, message))
            };
        };
        let variables = Variables::of(service);
        require_task(&variables, task, Cause::PreComputeTaskIdMissing)?;
        refuse_bulk(&variables)?;
        let with_dataset = variables.flag("IS_DATASET_REQUIRED", Cause::PreComputeIsDatasetRequiredMissing)?;
        let dataset = if with_dataset { Some(Dataset::parse(&variables)?) } else { None };
        let count = variables.require("IEXEC_INPUT_FILES_NUMBER", Cause::PreComputeInputFilesNumberMissing)?;
        let count: u32 = count.parse().or_fail(Cause::PreComputeInputFilesNumberMissing, "IEXEC_INPUT_FILES_NUMBER")?;
        if count > MAX_INPUT_FILES {
            let message = format_args!("{count} input files; at most {MAX_INPUT_FILES} are read");
            return Err(Failure::new(Cause::TaskDescriptionInvalid, message));
        }
        let inputs = (1..=count).map(|number| input_name(&variables, app, number));
        Ok(Self { dataset, inputs: inputs.collect::<Result<_, _>>()? })
    }
}

impl Dataset {
    fn parse(variables: &Variables<'_>) -> Result<Self, Failure> {
        let checksum = variables.require("IEXEC_DATASET_CHECKSUM", Cause::PreComputeDatasetChecksumMissing)?;
        let key = variables.require("IEXEC_DATASET_KEY", Cause::PreComputeDatasetKeyMissing)?;
        let name = variables.require("IEXEC_DATASET_FILENAME", Cause::PreComputeDatasetFilenameMissing)?;
        Ok(Self {
            checksum: checksum.parse().or_fail(Cause::PreComputeDatasetChecksumMissing, "IEXEC_DATASET_CHECKSUM")?,
            key: DataKey::parse(key)?,
            name: FileName::parse(name)
                .ok_or_else(|| Failure::new(Cause::PreComputeDatasetFilenameMissing, "not a file name"))?,
        })
    }
}

impl DataKey {
    /// Base64 of 32 bytes (iExec SDK, `dataset encrypt`).
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let malformed =
            || Failure::new(Cause::PreComputeDatasetKeyMissing, "the dataset's key is not base64 of 32 bytes");
        let bytes = Zeroizing::new(STANDARD.decode(text).map_err(|_| malformed())?);
        let key: [u8; 32] = bytes.as_slice().try_into().map_err(|_| malformed())?;
        Ok(Self(Zeroizing::new(key)))
    }

    pub(crate) fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FileName {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let odd = |c: char| c == '/' || c.is_control();
        let good = (1..=255).contains(&text.len()) && text != "." && text != ".." && !text.contains(odd);
        good.then(|| Self(text.to_owned()))
    }
}

impl AsRef<Path> for FileName {
    fn as_ref(&self) -> &Path {
        self.0.as_ref()
    }
}

/// The URL is the pre-compute's variable, the name the app's: iExec keeps them apart.
fn input_name(variables: &Variables<'_>, app: &Variables<'_>, number: u32) -> Result<FileName, Failure> {
    let cause = Cause::PreComputeInputFileUrlMissing;
    variables.require(&format!("IEXEC_INPUT_FILE_URL_{number}"), cause)?;
    let variable = format!("IEXEC_INPUT_FILE_NAME_{number}");
    FileName::parse(app.require(&variable, cause)?)
        .ok_or_else(|| Failure::new(cause, format_args!("{variable} is not a file name")))
}

fn expects_nothing(app: &Variables<'_>) -> bool {
    let zero = |text: &str| text.trim_start_matches("0x").bytes().all(|digit| digit == b'0');
    let none = |name| app.find(name).is_none_or(zero);
    none("IEXEC_INPUT_FILES_NUMBER") && none("IEXEC_DATASET_ADDRESS") && none("IEXEC_BULK_SLICE_SIZE")
}

fn refuse_bulk(variables: &Variables<'_>) -> Result<(), Failure> {
    match variables.find("IEXEC_BULK_SLICE_SIZE") {
        None | Some("0") => Ok(()),
        Some(_) => Err(Failure::new(Cause::PreComputeFailedUnknownIssue, "bulk datasets are not processed")),
    }
}
