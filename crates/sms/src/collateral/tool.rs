//! Bundles: collateral that is fetched where there is a network and carried to where there is none.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use iexec_attestation::{Collateral, needs};
use iexec_protocol::{Timestamp, evidence::Evidence};
use iexec_service::{BoxFuture, Metrics};

use super::{CollateralSources, CollateralUrls, Library, Source, cache};

/// A file of a folder of collateral.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollateralLine {
    /// Its name.
    pub file: String,
    /// When what it says was issued and until when that holds, in seconds since the Unix epoch; or what is wrong with it.
    pub dates: Result<(Timestamp, Timestamp), String>,
}

/// Fetches into `folder` what verifying `evidence` takes, AMD's revocation list included. What is there and holds is left.
pub fn fetch(
    evidence: Vec<Evidence>,
    urls: CollateralUrls,
    folder: PathBuf,
    now: Timestamp,
) -> BoxFuture<'static, anyhow::Result<()>> {
    Box::pin(async move {
        let sources = CollateralSources { urls: Some(urls), bundle: None };
        let source = Source::new(None, Library::open(folder, sources, Metrics::default())?);
        for evidence in &evidence {
            source.find(&needs(evidence)?, true, now).await?;
        }
        Ok(())
    })
}

/// The files of a folder that are collateral by their names, sorted.
pub fn list(folder: &Path) -> anyhow::Result<Vec<CollateralLine>> {
    let files = cache::list(folder)?.into_iter();
    Ok(files
        .map(|(file, kept)| CollateralLine {
            file,
            dates: kept.map(|kept| (kept.item.issued, kept.item.expires)).map_err(|error| format!("{error:#}")),
        })
        .collect())
}

/// Collateral for `evidence` from a folder, without asking anybody. With AMD's revocation list if `revocations` asks for it.
pub(crate) fn from_folder(
    folder: &Path,
    evidence: &Evidence,
    revocations: bool,
    now: Timestamp,
) -> BoxFuture<'static, anyhow::Result<Collateral>> {
    let (folder, evidence) = (folder.to_owned(), evidence.clone());
    Box::pin(async move {
        let own = tempfile::tempdir()?;
        let sources = CollateralSources { urls: None, bundle: Some(folder.clone()) };
        let library = Library::open(own.path().join("none"), sources, Metrics::default())?;
        let found = Source::new(None, library).find(&needs(&evidence)?, revocations, now).await;
        found.with_context(|| folder.display().to_string())
    })
}
