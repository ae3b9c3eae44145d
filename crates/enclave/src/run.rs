//! One task, in order: begin, evidence, session, input, app, output. Each step consumes what the one before it made.

use std::{
    io::{Read, Write},
    panic::{self, AssertUnwindSafe},
    process::ExitCode,
};

use iexec_protocol::{
    B256, Bytes,
    cause::Cause,
    evidence::{Evidence, Nonce},
    id::{Sha256, TaskId},
    key::SigningKey,
    receipt::Inputs,
    result::{Computed, Contribution},
    session::{EphemeralKey, Finished, FromEnclave, Stage},
};
use rand_core::{OsRng, UnwrapErr};

use crate::{
    app,
    archive::Destination,
    channel::Channel,
    evidence::{self, Bound, Platform},
    failure::{Failure, OrFail as _},
    input,
    layout::Layout,
    output::Output,
    plan::{Delivery, Plan, PostCompute},
    process,
    receipt::{Draft, Keys},
};

/// How this program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: the last frame was `Finished`.
    Finished,
    /// 1: the last frame was `Failed`.
    Failed,
    /// 2: nobody was told.
    Mute,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Finished => Self::SUCCESS,
            Exit::Failed => Self::from(1),
            Exit::Mute => Self::from(2),
        }
    }
}

/// Executes the task that the worker names on `input`; frames go to `output`. Drops the process's privileges for good.
pub fn run(layout: &Layout, input: impl Read, output: impl Write) -> Exit {
    // A panic's text may quote what it tripped over: only its place is logged.
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        crate::log(&format!("panic at {}", place.unwrap_or_default()));
    }));
    let mut channel = Channel::new(input, output);
    let result = guarded(|| process::harden().and_then(|()| execute(layout, &mut channel)));
    let (last, exit) = match result {
        Ok(finished) => (FromEnclave::Finished(Box::new(finished)), Exit::Finished),
        Err(failure) => {
            crate::log(&failure.to_string());
            (FromEnclave::Failed { cause: failure.cause, message: failure.message }, Exit::Failed)
        }
    };
    match channel.send(&last) {
        Ok(()) => exit,
        Err(failure) => {
            crate::log(&failure.to_string());
            Exit::Mute
        }
    }
}

/// A panic is a failure like any other, and its text stays inside.
fn guarded<T>(attempt: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    panic::catch_unwind(AssertUnwindSafe(attempt))
        .unwrap_or_else(|_| Err(Failure::new(Cause::PostComputeFailedUnknownIssue, "the enclave panicked")))
}

fn execute<R: Read, W: Write>(layout: &Layout, channel: &mut Channel<R, W>) -> Result<Finished, Failure> {
    let Opened { task, plan, image, evidence, nonce, key } = open(layout, channel)?;
    let Plan { deal, time_limit, pre_compute, app, post_compute } = plan;
    let archive = match post_compute.delivery {
        Delivery::Callback => None,
        Delivery::Encrypted(_) | Delivery::Plain => Some(Destination::create(&layout.archive)?),
    };

    stage(channel, Stage::PreCompute)?;
    let given = input::prepare(pre_compute, layout)?;
    let inputs = Inputs { image, command: app.command.clone(), dataset: given.dataset, files: given.files };
    let signer = Signer { task, draft: Draft { deal, inputs, evidence, nonce }, key, post_compute };
    signer.rehearse()?;

    stage(channel, Stage::App)?;
    app::run(&app, &layout.output, time_limit)?;
    drop(app);
    process::drop_privileges()?;

    stage(channel, Stage::PostCompute)?;
    signer.deliver(&Output::list(&layout.output)?, archive)
}

/// A session that is open, and what it was opened with.
struct Opened {
    task: TaskId,
    plan: Plan,
    image: Sha256,
    evidence: Evidence,
    nonce: Nonce,
    key: SigningKey,
}

/// Checks the container, shows evidence, and reads the session that comes back.
fn open<R: Read, W: Write>(layout: &Layout, channel: &mut Channel<R, W>) -> Result<Opened, Failure> {
    let (task, nonce) = channel.begin()?;
    let image = layout.image()?;
    let platform = Platform::find(layout)?;
    if !matches!(platform, Platform::Gramine(_)) {
        // Gramine's mounts are in its measured manifest.
        layout.require_memory()?;
    }
    layout.require_empty()?;
    let rng = &mut UnwrapErr(OsRng);
    let (session_key, key) = (EphemeralKey::generate(rng), SigningKey::random(rng));
    let (signer, image_digest) = (key.address(), image.digest());
    let bound = Bound { key: session_key.public(), signer, task, nonce, image: image_digest };
    let evidence = evidence::make(platform, &bound)?;
    crate::log(&format!("task {task}: evidence by {} for image {image_digest}", evidence.tee));
    channel.send(&FromEnclave::Evidence(evidence.clone()))?;
    let session = session_key.open(&channel.session()?).map_err(Failure::unprepared)?;
    Ok(Opened { task, plan: Plan::parse(&session, task, &image)?, image: image_digest, evidence, nonce, key })
}

/// Post-compute: holds the challenge key and the enclave's own, and turns an output into what leaves the enclave.
struct Signer {
    task: TaskId,
    draft: Draft,
    key: SigningKey,
    post_compute: PostCompute,
}

impl Signer {
    /// Finds out before the app runs whether signing will work.
    fn rehearse(&self) -> Result<(), Failure> {
        let contribution = self.contribution(B256::repeat_byte(0xff), Bytes::new());
        self.draft.rehearse(&contribution, self.keys())
    }

    /// Digest, signature, archive.
    fn deliver(self, output: &Output, archive: Option<Destination>) -> Result<Finished, Failure> {
        let key = &self.post_compute.challenge_key;
        let delivery = &self.post_compute.delivery;
        let computed = output.computed(*delivery == Delivery::Callback)?;
        let digest = output.digest(&computed)?;
        let callback = match computed {
            Computed::Callback(bytes) => bytes,
            Computed::Path(_) => Bytes::new(),
        };
        let signed = self.contribution(digest, callback).sign(key);
        let contribution = signed.or_fail(Cause::PostComputeInvalidTeeSignature, "the contribution")?;
        let receipt = |sealed: &_| self.draft.sign(&contribution.contribution, sealed, self.keys());
        let archive = match (archive, delivery) {
            (Some(archive), Delivery::Encrypted(recipients)) => {
                Some(archive.write_encrypted(output, recipients, receipt)?)
            }
            (Some(archive), Delivery::Plain) => Some(archive.write_plain(output)?),
            (_, Delivery::Callback) | (None, _) => None,
        };
        Ok(Finished { contribution, archive })
    }

    fn keys(&self) -> Keys<'_> {
        Keys { challenge: &self.post_compute.challenge_key, enclave: &self.key }
    }

    fn contribution(&self, result_digest: B256, callback: Bytes) -> Contribution {
        Contribution { task: self.task, worker: self.post_compute.worker, result_digest, callback }
    }
}

fn stage<R: Read, W: Write>(channel: &mut Channel<R, W>, stage: Stage) -> Result<(), Failure> {
    crate::log(&format!("stage {stage:?}"));
    channel.send(&FromEnclave::Stage { stage })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_failure_that_keeps_its_text_inside() {
        let failure = guarded::<()>(|| panic!("some secret")).unwrap_err();
        assert_eq!(failure, Failure::new(Cause::PostComputeFailedUnknownIssue, "the enclave panicked"));
    }
}
