//! The second API of the network's SMS, asked as a wallet: every request signed for that one SMS, for minutes, once.

use iexec_chain::Wallet;
use iexec_protocol::{
    Address,
    call::{
        secrets::{DeleteSecret, GetTerms, ListSecrets, Listed, Put, PutSecret, SmsTerms},
        sms::SecretId,
    },
    secret::SecretKind,
    secret_request::{RequestHeader, Subject, Terms},
    session::SecretText,
};
use iexec_service::clock;

use super::owned::{Access, words};
use crate::{
    failure::Failure,
    remote::{Remote, Service},
};

/// How long a signed request is good, in seconds: half of what is allowed, so that clocks may differ.
const GOOD_FOR: u64 = 300;

/// The network's SMS, asked as a wallet.
pub(super) struct Sms<'a> {
    remote: Remote,
    terms: SmsTerms,
    wallet: &'a Wallet,
}

impl<'a> Sms<'a> {
    /// Asks the SMS for its terms. What it is signed for must be where it was found: an SMS that asks for signatures good at
    /// another one would pass them on.
    pub(super) async fn open(access: &Access, wallet: &'a Wallet) -> Result<Self, Failure> {
        let remote = Remote::new(&access.chain)?;
        let url = remote.url(Service::Sms)?.trim_end_matches('/').to_owned();
        let terms = remote.send(Service::Sms, &GetTerms).await?.ok_or_else(|| {
            Failure::user("SmsTooOld", format!("the SMS at {url} has iExec's API only: it cannot list or delete")).hint(
                "`iexec requester push-secret`, `iexec app push-secret` and `iexec dataset push-secret` work there",
            )
        })?;
        let (found, expected) = ((&*terms.audience, terms.chain_id), (&*url, remote.network.id));
        if found != expected {
            let text = format!("the SMS at {url} says that it is {}, of chain {}", terms.audience, terms.chain_id);
            return Err(Failure::user("ConfigurationError", text)
                .hint(format!("if that is right, correct `sms` or `id` of the chain {} in chain.json", expected.1)));
        }
        Ok(Self { remote, terms, wallet })
    }

    fn sign(&self, subject: &Subject, version: u64) -> Result<RequestHeader, Failure> {
        let terms = Terms {
            version,
            nonce: rand::random::<[u8; 32]>().into(),
            deadline: clock::now() + GOOD_FOR,
            audience: self.terms.audience.clone(),
        };
        Ok(terms.sign(subject, self.terms.chain_id, self.wallet.key())?)
    }

    /// All of them, page by page; each page is a request of its own.
    pub(super) async fn list(&self, owner: Address, kind: Option<SecretKind>) -> Result<Vec<Listed>, Failure> {
        let (mut secrets, mut after) = (Vec::new(), None);
        loop {
            let header = self.sign(&Subject::list(owner, kind), 0)?;
            let call = ListSecrets { owner, kind, after, header };
            let page = self.remote.send(Service::Sms, &call).await?;
            secrets.extend(page.secrets);
            after = page.next;
            if after.is_none() {
                return Ok(secrets);
            }
        }
    }

    /// What the SMS knows of it.
    async fn look_up(&self, id: &SecretId) -> Result<Option<Listed>, Failure> {
        let secrets = self.list(id.owner(), Some(id.kind())).await?;
        // iExec's SMS keeps names of web2 secrets in lower case.
        let same = |secret: &Listed| match id {
            SecretId::Web2 { name, .. } => secret.name == name.to_lowercase(),
            _ => secret.name == id.name(),
        };
        Ok(secrets.into_iter().find(same))
    }

    /// Its version, if it is there.
    async fn version(&self, id: &SecretId) -> Result<u64, Failure> {
        let there = self.look_up(id).await?.filter(|secret| !secret.deleted);
        there.map(|secret| secret.version).ok_or_else(|| absent(id))
    }

    pub(super) async fn push(&self, id: &SecretId, value: SecretText) -> Result<u64, Failure> {
        match self.look_up(id).await? {
            Some(Listed { deleted: false, .. }) => {
                Err(Failure::user("SecretExists", format!("{} is in the SMS already", words(id)))
                    .hint("replace it with `iexec secret rotate`"))
            }
            // It was there and was deleted: its versions go on.
            Some(Listed { version, .. }) => self.next(id, value, version).await,
            None => self.next(id, value, 0).await,
        }
    }

    pub(super) async fn rotate(&self, id: &SecretId, value: SecretText) -> Result<u64, Failure> {
        let version = self.version(id).await?;
        self.next(id, value, version).await
    }

    async fn next(&self, id: &SecretId, value: SecretText, last: u64) -> Result<u64, Failure> {
        let header = self.sign(&Subject::put(id, value.expose()), last + 1)?;
        match self.remote.send(Service::Sms, &PutSecret { id: id.clone(), value, header }).await? {
            Put::Kept(version) => Ok(version),
            Put::Version(now) => {
                Err(Failure::user("SecretChanged", format!("{} became version {now} meanwhile", words(id)))
                    .hint("look with `iexec secret list` who else changes it, and try again"))
            }
        }
    }

    pub(super) async fn delete(&self, id: &SecretId) -> Result<u64, Failure> {
        let version = self.version(id).await?;
        let header = self.sign(&Subject::delete(id), version)?;
        self.remote.send(Service::Sms, &DeleteSecret { id: id.clone(), header }).await?;
        Ok(version)
    }
}

fn absent(id: &SecretId) -> Failure {
    Failure::absent(format!("{} is not in the SMS", words(id))).hint("`iexec secret list` shows what is")
}
