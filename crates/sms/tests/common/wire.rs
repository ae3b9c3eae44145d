//! What goes over the wire: evidence, any request, refusals.

use http::{Method, Request, Response};
use iexec_attestation::Digest384;
use iexec_protocol::{
    Address, B256,
    call::{Call, CallError, sms::SessionOffer},
    evidence::{Evidence, Tee, image_event, report_data},
    id::{Sha256, TaskId},
    session::EphemeralKey,
};
use iexec_simulated_tee::{Platform, Td, pki};
use tempfile::TempDir;

pub fn image() -> Sha256 {
    Sha256(B256::repeat_byte(0xab))
}

/// What the enclave shows on the machine whose keys are in `folder`.
pub fn evidence(
    folder: &TempDir,
    enclave: Digest384,
    key: &EphemeralKey,
    task: TaskId,
    offer: &SessionOffer,
) -> Evidence {
    let file = std::fs::read(folder.path().join("pki").join(pki::PLATFORM)).unwrap();
    let (signer, image) = (Address::repeat_byte(6), image());
    let data = report_data(key.public(), signer, task, offer.nonce, image);
    let td = Td::new(enclave.0, data).extend(3, &image_event(image));
    let quote = Platform::from_json(&file).unwrap().quote(&td);
    Evidence { tee: Tee::Simulated, key: B256::from(*key.public()), signer, image, quote, certificates: vec![] }
}

pub fn enclave_key() -> EphemeralKey {
    EphemeralKey::generate(&mut rand::rng())
}

/// Any request; the answer as it is.
#[derive(Clone)]
pub struct Raw {
    pub method: Method,
    pub path: String,
    pub authorization: Option<String>,
    pub media_type: Option<&'static str>,
    pub body: Vec<u8>,
}

impl Raw {
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), authorization: None, media_type: None, body: Vec::new() }
    }
}

impl Call for Raw {
    type Reply = Response<Vec<u8>>;

    fn request(&self, base: &str) -> Result<Request<Vec<u8>>, CallError> {
        let mut request = Request::builder().method(self.method.clone()).uri(format!("{base}{}", self.path));
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        if let Some(media_type) = self.media_type {
            request = request.header("content-type", media_type);
        }
        request.body(self.body.clone()).map_err(|error| CallError::Request(error.to_string()))
    }

    fn reply(&self, response: Response<Vec<u8>>) -> Result<Response<Vec<u8>>, CallError> {
        Ok(response)
    }
}

/// Status and words of a refusal.
pub fn refused<T: std::fmt::Debug>(result: Result<T, CallError>) -> (u16, String) {
    match result.unwrap_err() {
        CallError::Refused { status, message } => (status, message),
        other => panic!("{other}"),
    }
}
