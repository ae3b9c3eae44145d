//! A session, read once: what each stage is to do, with nothing left to validate afterwards.
//!
//! Everything that can be known to be wrong is found here, before the app runs. A wish for encryption that cannot be
//! fulfilled is found here above all: no plaintext has been made yet.

mod app;
mod post_compute;
mod pre_compute;
mod variables;

use std::time::Duration;

use iexec_protocol::{
    cause::Cause,
    id::{DealId, TaskId},
    image::Image,
    session::{Session, VERSION},
};

pub(crate) use app::App;
pub(crate) use post_compute::{Delivery, PostCompute};
pub(crate) use pre_compute::{DataKey, Dataset, FileName, PreCompute};

use crate::failure::{Failure, OrFail as _};
use variables::Variables;

/// What the three stages are to do.
pub(crate) struct Plan {
    pub(crate) deal: DealId,
    pub(crate) time_limit: Duration,
    pub(crate) pre_compute: PreCompute,
    pub(crate) app: App,
    pub(crate) post_compute: PostCompute,
}

impl Plan {
    /// Reads a session for this task and this image.
    pub(crate) fn parse(session: &Session, task: TaskId, image: &Image) -> Result<Self, Failure> {
        if session.version != VERSION {
            let message = format_args!("the session has version {:?}; this enclave reads {VERSION:?}", session.version);
            return Err(Failure::unprepared(message));
        }
        let app = session.service("app").ok_or_else(|| Failure::unprepared("the session has no service \"app\""))?;
        let variables = Variables::of(app);
        let deal = variables.require("IEXEC_DEAL_ID", Cause::TeePreparationFailed)?;
        Ok(Self {
            deal: deal.parse().or_fail(Cause::TeePreparationFailed, "IEXEC_DEAL_ID")?,
            time_limit: Duration::from_secs(session.time_limit),
            pre_compute: PreCompute::parse(session.service("pre-compute"), &variables, task)?,
            app: App::parse(app, image)?,
            post_compute: PostCompute::parse(session.service("post-compute"), task)?,
        })
    }
}

/// Checks that a stage's `IEXEC_TASK_ID` is the task whose evidence was shown.
fn require_task(variables: &Variables<'_>, task: TaskId, cause: Cause) -> Result<(), Failure> {
    let text = variables.require("IEXEC_TASK_ID", cause)?;
    let named: TaskId = text.parse().or_fail(cause, "IEXEC_TASK_ID")?;
    if named == task {
        Ok(())
    } else {
        Err(Failure::unprepared(format_args!("the session is for task {named}, this is {task}")))
    }
}

#[cfg(test)]
mod tests;
