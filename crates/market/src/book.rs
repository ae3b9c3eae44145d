//! The book itself: rows in, rows out. What may get in is decided in [`crate::publish`].

use iexec_protocol::{Address, id::OrderHash, order::Unverified};
use iexec_service::{Problem, Store, clock::iso8601};
use serde_json::{Value, json};

use crate::{
    filter::{Filter, column, signed},
    listing::{Kind, Listed, shown, words},
};

/// An order as the book holds it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Row {
    pub hash: String,
    pub status: String,
    pub signer: String,
    pub volume: i64,
    pub remaining: i64,
    pub app: String,
    pub dataset: String,
    pub workerpool: String,
    pub published: i64,
    pub checked: i64,
    pub owner_checked: i64,
    body: String,
}

impl Row {
    /// The form of the API (rule M6).
    pub(crate) fn shown(&self, chain_id: u64) -> Result<Value, Problem> {
        let order: Value = serde_json::from_str(&self.body).map_err(Problem::internal)?;
        let signer: Address = self.signer.parse().map_err(Problem::internal)?;
        Ok(json!({
            "orderHash": self.hash,
            "chainId": chain_id,
            "order": order,
            "status": self.status,
            "remaining": self.remaining,
            "signer": signer.to_string(),
            "publicationTimestamp": iso8601(self.published.unsigned_abs()),
        }))
    }

    /// The asset that it sells; `None` for a request.
    pub(crate) fn asset(&self, kind: Kind) -> Option<Address> {
        let text = match kind {
            Kind::App => &self.app,
            Kind::Dataset => &self.dataset,
            Kind::Workerpool => &self.workerpool,
            Kind::Request => return None,
        };
        text.parse().ok()
    }
}

/// An order that passed every check of a publication.
#[derive(Debug)]
pub(crate) struct Entry<'a, T> {
    pub order: &'a Unverified<T>,
    pub hash: OrderHash,
    pub signer: Address,
    pub remaining: u64,
    /// Milliseconds since the epoch.
    pub now: u64,
}

/// Why an entry is not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// The same order is in the book.
    Published(String),
    /// The wallet has so many open ones.
    TooMany(u64),
}

/// Puts an order into the book: counted and written in one transaction. One that was dead before opens again.
pub(crate) async fn add<T: Listed>(
    store: &Store,
    entry: &Entry<'_, T>,
    most: u64,
) -> Result<Result<(), NotTaken>, Problem> {
    let kind = T::COLLECTION.name();
    let mut transaction = store.begin().await?;
    let status: Option<String> = sqlx::query_scalar("SELECT status FROM orders WHERE hash = ? AND status != 'dead'")
        .bind(entry.hash.to_string())
        .fetch_optional(&mut *transaction)
        .await?;
    if let Some(status) = status {
        return Ok(Err(NotTaken::Published(status)));
    }
    let open: i64 = sqlx::query_scalar("SELECT count(*) FROM orders WHERE signer = ? AND kind = ? AND status = 'open'")
        .bind(column(entry.signer))
        .bind(kind)
        .fetch_one(&mut *transaction)
        .await?;
    if open >= signed(most) {
        return Ok(Err(NotTaken::TooMany(most)));
    }
    insert(entry)?.execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(Ok(()))
}

type Insert = sqlx::query::Query<'static, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

fn insert<T: Listed>(entry: &Entry<'_, T>) -> Result<Insert, Problem> {
    let order = &entry.order.order;
    let (terms, [tag0, tag1, tag2, tag3]) = (order.terms(), words(order.tag()));
    let number = |number: iexec_protocol::U256| signed(number.saturating_to());
    let now = signed(entry.now);
    Ok(sqlx::query(
        "INSERT OR REPLACE INTO orders (hash, kind, status, signer, price, volume, remaining, category, trust, app,
            dataset, workerpool, requester, beneficiary, tag0, tag1, tag2, tag3, published, checked, owner_checked, body)
        VALUES (?, ?, 'open', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(entry.hash.to_string())
    .bind(T::COLLECTION.name())
    .bind(column(entry.signer))
    .bind(number(terms.price))
    .bind(number(order.volume()))
    .bind(signed(entry.remaining))
    .bind(terms.category.map(number))
    .bind(terms.trust.map(number))
    .bind(column(terms.app))
    .bind(column(terms.dataset))
    .bind(column(terms.workerpool))
    .bind(column(terms.requester))
    .bind(column(terms.beneficiary))
    .bind(tag0)
    .bind(tag1)
    .bind(tag2)
    .bind(tag3)
    .bind(now)
    .bind(now)
    .bind(now)
    .bind(shown(entry.order)?.to_string()))
}

/// The order with this hash, whatever its status.
pub(crate) async fn find(store: &Store, kind: Kind, hash: OrderHash) -> Result<Option<Row>, Problem> {
    let row = sqlx::query_as("SELECT * FROM orders WHERE hash = ? AND kind = ?");
    Ok(row.bind(hash.to_string()).bind(kind.name()).fetch_optional(store.pool()).await?)
}

/// A page of open orders, best first.
pub(crate) async fn page(store: &Store, filter: &Filter) -> Result<Vec<Row>, Problem> {
    Ok(filter.rows().build_query_as().fetch_all(store.pool()).await?)
}

/// How many open orders fit in all.
pub(crate) async fn count(store: &Store, filter: &Filter) -> Result<u64, Problem> {
    let count: i64 = filter.count().build_query_scalar().fetch_one(store.pool()).await?;
    Ok(count.unsigned_abs())
}

/// Which orders a wallet takes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    Hash(OrderHash),
    Last(Address),
    All(Address),
}

/// Takes open orders of this signer out of the book; yields their hashes, newest first.
pub(crate) async fn remove(store: &Store, kind: Kind, signer: Address, which: Which) -> Result<Vec<String>, Problem> {
    let mut sql = sqlx::QueryBuilder::new("UPDATE orders SET status = 'dead' WHERE hash IN (SELECT hash FROM orders");
    sql.push(" WHERE status = 'open' AND kind = ").push_bind(kind.name());
    sql.push(" AND signer = ").push_bind(column(signer));
    match which {
        Which::Hash(hash) => sql.push(" AND hash = ").push_bind(hash.to_string()),
        Which::Last(own) | Which::All(own) => {
            sql.push(" AND ").push(kind.own_column()).push(" = ").push_bind(column(own))
        }
    };
    sql.push(" ORDER BY published DESC, hash");
    if matches!(which, Which::Last(_)) {
        sql.push(" LIMIT 1");
    }
    sql.push(") RETURNING hash");
    Ok(sql.build_query_scalar().fetch_all(store.pool()).await?)
}

/// What the chain says about an order now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub status: &'static str,
    pub remaining: i64,
}

/// Keeps what was found, unless the order left the book meanwhile.
pub(crate) async fn update(store: &Store, row: &Row, state: &State, now: u64, owner: bool) -> Result<(), Problem> {
    sqlx::query(
        "UPDATE orders SET status = ?, remaining = ?, checked = ?, owner_checked = iif(?, ?, owner_checked)
        WHERE hash = ? AND status = 'open'",
    )
    .bind(state.status)
    .bind(state.remaining)
    .bind(signed(now))
    .bind(owner)
    .bind(signed(now))
    .bind(&row.hash)
    .execute(store.pool())
    .await?;
    Ok(())
}
