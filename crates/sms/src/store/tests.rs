//! Tests of the store; those in [`on_both!`] run on `SQLite` and on PostgreSQL.

mod admin;
mod audit;
mod challenges;
mod commits;
mod faults;
mod keys;
mod postgres;
mod prune;
mod quota;
mod refusals;
mod replicas;
mod schema_1;
mod secrets;

use std::sync::Arc;

use iexec_protocol::{Address, B256, call::sms::SecretId, id::TaskId, key::SigningKey, session::SecretText};
use sqlx::AnyConnection;
use tempfile::TempDir;

use super::*;
use crate::{
    secret::{Approved, Signed},
    vault::VaultError,
};
use postgres::Cluster;

/// Each test twice: once in `sqlite`, once in `postgres`.
macro_rules! on_both {
    ($(async fn $name:ident($rig:ident: Rig) $body:block)*) => {
        $(async fn $name($rig: Rig) $body)*

        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(super::Rig::sqlite()).await;
            })*
        }

        mod postgres_server {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                if let Some(rig) = super::Rig::postgres() {
                    super::$name(rig).await;
                }
            })*
        }
    };
}
use on_both;

/// A place for a store.
pub(crate) struct Rig {
    folder: TempDir,
    pub(crate) at: Location,
}

impl Rig {
    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { at: Location::folder(folder.path()), folder }
    }

    pub(crate) fn postgres() -> Option<Self> {
        Cluster::shared().map(Self::on)
    }

    fn on(cluster: &Cluster) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { at: Location { database: Some(cluster.database()), ..Location::folder(folder.path()) }, folder }
    }

    async fn open(&self) -> Store {
        Store::open(&self.at).await.unwrap()
    }

    /// Another place of the same engine.
    fn fresh(&self) -> Self {
        if self.at.database.is_some() { Self::postgres().unwrap() } else { Self::sqlite() }
    }
}

/// A connection to tamper with.
async fn db(store: &Store) -> AnyConnection {
    store.engine.connect().await.unwrap()
}

fn owner() -> SigningKey {
    SigningKey::from_bytes(&[5; 32]).unwrap()
}

fn web2(name: &str) -> SecretId {
    SecretId::Web2 { owner: owner().address(), name: name.into() }
}

fn requester(name: &str) -> SecretId {
    SecretId::Requester { requester: owner().address(), key: name.into() }
}

fn approved<'a>(id: &'a SecretId, value: &'a SecretText) -> Approved<'a> {
    let signature = owner().sign_personal(id.challenge(value.expose())).unwrap();
    Signed::challenge(id, value, &signature).unwrap().approve(owner().address()).unwrap()
}

async fn try_create(store: &Store, id: &SecretId, value: &str) -> Result<Created, StoreError> {
    let value = SecretText::new(value);
    store.create_secret(approved(id, &value)).await
}

async fn create(store: &Store, id: &SecretId, value: &str) -> Created {
    try_create(store, id, value).await.unwrap()
}

async fn update(store: &Store, id: &SecretId, value: &str) -> Updated {
    let value = SecretText::new(value);
    store.update_secret(approved(id, &value)).await.unwrap()
}

async fn put(store: &Store, id: &SecretId, value: &str, fence: Fence) -> Put {
    let value = SecretText::new(value);
    store.put_secret(approved(id, &value), fence).await.unwrap()
}

fn fence(nonce: u8, version: u64) -> Fence {
    Fence { signer: owner().address(), nonce: B256::repeat_byte(nonce), deadline: 100, version }
}

async fn text(store: &Store, id: &SecretId) -> String {
    store.secret(id).await.unwrap().unwrap().expose().to_owned()
}

fn task(byte: u8) -> TaskId {
    TaskId(B256::repeat_byte(byte))
}
