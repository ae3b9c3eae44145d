//! Many secrets at once, put into the SMS's tables by the database itself while the SMS is down.
//!
//! They are of the size of real ones; sealed they are not, as nothing that is measured opens them.

use anyhow::{Context as _, Result};
use sqlx::{AnyConnection, Connection as _};

use crate::database::{Database, Kind};

// Owner and name as `requests::stored` has them. 120 bytes: a nonce, a key of ours sealed, its tag.
const SQLITE: &str = "
WITH RECURSIVE n (i) AS (SELECT $1 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < $2)
INSERT INTO secret (kind, owner, name, sealed, key_id, version, created, updated)
SELECT 'web2', unhex(printf('%040x', (i / 100 * 2654435761) % 4294967296)), 'secret-' || i, randomblob(620), 1, 1, 0, 0
FROM n";
const SQLITE_MARKS: &str = "
WITH RECURSIVE n (i) AS (SELECT $1 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < $2)
INSERT INTO secret_mark (kind, owner, name, mark)
SELECT 'web2', unhex(printf('%040x', (i / 100 * 2654435761) % 4294967296)), 'secret-' || i, randomblob(32) FROM n";
const POSTGRES: &str = "
INSERT INTO secret (kind, owner, name, sealed, key_id, version, created, updated)
SELECT 'web2', decode(lpad(to_hex((i / 100 * 2654435761) % 4294967296), 40, '0'), 'hex'), 'secret-' || i,
       convert_to(repeat(md5(i::text), 19), 'UTF8'), 1, 1, 0, 0
FROM generate_series($1::bigint, $2::bigint - 1) AS i";
const POSTGRES_MARKS: &str = "
INSERT INTO secret_mark (kind, owner, name, mark)
SELECT 'web2', decode(lpad(to_hex((i / 100 * 2654435761) % 4294967296), 40, '0'), 'hex'), 'secret-' || i,
       sha256(convert_to(i::text, 'UTF8'))
FROM generate_series($1::bigint, $2::bigint - 1) AS i";

/// Adds the secrets that are missing up to `stored`.
pub(crate) async fn fill(database: &Database, stored: u64) -> Result<()> {
    sqlx::any::install_default_drivers();
    let mut db = AnyConnection::connect(&database.url()).await.context("the database to fill")?;
    let there: i64 =
        sqlx::query_scalar("SELECT count(*) FROM secret WHERE name LIKE 'secret-%'").fetch_one(&mut db).await?;
    let stored = i64::try_from(stored)?;
    let (secrets, marks) = match database.kind() {
        Kind::Sqlite => (SQLITE, SQLITE_MARKS),
        Kind::Postgres => (POSTGRES, POSTGRES_MARKS),
    };
    for statement in [secrets, marks] {
        sqlx::query(statement).bind(there).bind(stored).execute(&mut db).await.context("secrets in bulk")?;
    }
    // As the databases do by themselves, given time.
    let settle = match database.kind() {
        Kind::Sqlite => "PRAGMA wal_checkpoint(TRUNCATE)",
        Kind::Postgres => "VACUUM ANALYZE",
    };
    sqlx::raw_sql(settle).execute(&mut db).await?;
    db.close().await?;
    Ok(())
}
