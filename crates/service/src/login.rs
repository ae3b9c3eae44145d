//! Logging in with a wallet, as iExec's market, result proxy and scheduler have it: a random challenge (EIP-712) is
//! given to an address, its signature is traded once for one request, within [`LIFETIME`].

use axum::http::{HeaderMap, header};
use futures_util::future::BoxFuture;
use iexec_protocol::{
    Address, Timestamp,
    typed_data::{LoginChallenge, LoginHeader},
};
use rand::Rng as _;

use crate::{Problem, Store};

/// A migration of the store that the challenges are kept in.
pub const SCHEMA: &str = "
CREATE TABLE login_challenges (
    hash TEXT PRIMARY KEY,
    address TEXT NOT NULL,
    expires INTEGER NOT NULL
) STRICT;
CREATE INDEX login_challenges_by_expiry ON login_challenges (expires);
";

/// Seconds within which a challenge must be answered.
pub const LIFETIME: u64 = 600;

/// Challenges kept at most, the newest; anyone may ask for one.
const MOST: i64 = 100_000;

/// Makes a challenge for `address`; `service` is the domain's name, as `iExec Gateway`.
pub fn challenge<'a>(
    store: &'a Store,
    service: &'a str,
    chain_id: u64,
    address: Address,
    now: Timestamp,
) -> BoxFuture<'a, Result<LoginChallenge, Problem>> {
    let random = format!("{:032x}", rand::rng().random::<u128>());
    let sentence = format!("Sign this message to log into {service}: {random}");
    let challenge = LoginChallenge { name: service.to_owned(), chain_id, sentence };
    Box::pin(async move {
        sqlx::query("DELETE FROM login_challenges WHERE expires < ?").bind(seconds(now)).execute(store.pool()).await?;
        sqlx::query("INSERT INTO login_challenges VALUES (?, ?, ?)")
            .bind(challenge.hash().to_string())
            .bind(address.to_string())
            .bind(seconds(now.saturating_add(LIFETIME)))
            .execute(store.pool())
            .await?;
        // Row ids are given in order: this forgets the oldest, and nobody is refused because of others.
        sqlx::query("DELETE FROM login_challenges WHERE rowid <= (SELECT max(rowid) FROM login_challenges) - ?")
            .bind(MOST)
            .execute(store.pool())
            .await?;
        Ok(challenge)
    })
}

/// Reads the `authorization` header of a request and uses its challenge up; yields who logged in.
pub fn authorize<'a>(store: &'a Store, headers: &HeaderMap, now: Timestamp) -> BoxFuture<'a, Result<Address, Problem>> {
    let text = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    Box::pin(async move {
        let text = text.ok_or_else(|| Problem::unauthorized("the header `authorization` is missing"))?;
        answer(store, &text, now).await
    })
}

/// Reads an answered challenge, `<hash>_<signature>_<address>`, and uses it up; yields who logged in.
pub fn answer<'a>(store: &'a Store, text: &str, now: Timestamp) -> BoxFuture<'a, Result<Address, Problem>> {
    let header = text.parse::<LoginHeader>().map_err(Problem::unauthorized);
    Box::pin(async move {
        let header = header?;
        let address = header.verified().ok_or_else(|| {
            Problem::unauthorized(format!("the authorization's signature is not of its address {}", header.address))
        })?;
        let used = sqlx::query("DELETE FROM login_challenges WHERE hash = ? AND address = ? AND expires >= ?")
            .bind(header.hash.to_string())
            .bind(address.to_string())
            .bind(seconds(now))
            .execute(store.pool())
            .await?;
        if used.rows_affected() == 1 {
            return Ok(address);
        }
        Err(Problem::unauthorized(format!(
            "{address} was given no such challenge, or it is used or expired; ask for a new one"
        )))
    })
}

fn seconds(time: Timestamp) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use iexec_protocol::key::SigningKey;

    use super::*;
    use crate::store::open_sqlite;

    #[tokio::test]
    async fn a_challenge_is_good_once_in_time_and_for_its_address_alone() {
        let folder = tempfile::tempdir().unwrap();
        let store = open_sqlite(&folder.path().join("s"), &[SCHEMA]).await.unwrap();
        let (me, other) = (SigningKey::from_bytes(&[1; 32]).unwrap(), SigningKey::from_bytes(&[2; 32]).unwrap());
        let given = || challenge(&store, "iExec Gateway", 7, me.address(), 1000);
        let use_up = |text: String, now| {
            let store = store.clone();
            async move { answer(&store, &text, now).await.map_err(|problem| problem.status().as_u16()) }
        };
        let mine = given().await.unwrap().answer(&me).unwrap().to_string();
        assert_eq!(use_up(mine.clone(), 1000).await, Ok(me.address()));
        assert_eq!(use_up(mine, 1000).await, Err(401), "used");
        let late = given().await.unwrap().answer(&me).unwrap().to_string();
        assert_eq!(use_up(late.clone(), 1001 + LIFETIME).await, Err(401), "expired");
        assert_eq!(use_up(late, 1000 + LIFETIME).await, Ok(me.address()), "a refused use is no use");
        let stolen = given().await.unwrap().answer(&other).unwrap().to_string();
        assert_eq!(use_up(stolen, 1000).await, Err(401), "another's");
        let own = LoginChallenge { name: "iExec Gateway".into(), chain_id: 7, sentence: "mine".into() };
        assert_eq!(use_up(own.answer(&me).unwrap().to_string(), 1000).await, Err(401), "not ours");
        assert_eq!(use_up("garbage".into(), 1000).await, Err(401));
    }

    #[tokio::test]
    async fn a_flood_of_challenges_forgets_the_oldest_and_refuses_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let store = open_sqlite(&folder.path().join("s"), &[SCHEMA]).await.unwrap();
        let me = SigningKey::from_bytes(&[1; 32]).unwrap();
        let first = challenge(&store, "iExec Gateway", 7, me.address(), 1000).await.unwrap();
        let flood =
            sqlx::query("INSERT INTO login_challenges (rowid, hash, address, expires) VALUES (?, '', '', 2000)");
        flood.bind(MOST).execute(store.pool()).await.unwrap();
        let second = challenge(&store, "iExec Gateway", 7, me.address(), 1000).await.unwrap();
        assert!(answer(&store, &first.answer(&me).unwrap().to_string(), 1000).await.is_err());
        assert!(answer(&store, &second.answer(&me).unwrap().to_string(), 1000).await.is_ok());
    }
}
