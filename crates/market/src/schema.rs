//! The book's tables. Addresses are lower-case hex; an order's tag is four signed words, the lowest bits in the last.

/// In the order in which they were released.
pub(crate) const MIGRATIONS: &[&str] = &[iexec_service::login::SCHEMA, ORDERS];

/// The roles' columns hold an order's own asset, or whom it is restricted to (zero address: anyone).
const ORDERS: &str = "
CREATE TABLE orders (
    hash TEXT PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('app', 'dataset', 'workerpool', 'request')),
    status TEXT NOT NULL CHECK (status IN ('open', 'filled', 'dead')),
    signer TEXT NOT NULL,
    price INTEGER NOT NULL,
    volume INTEGER NOT NULL,
    remaining INTEGER NOT NULL,
    category INTEGER,
    trust INTEGER,
    app TEXT NOT NULL,
    dataset TEXT NOT NULL,
    workerpool TEXT NOT NULL,
    requester TEXT NOT NULL,
    beneficiary TEXT NOT NULL,
    tag0 INTEGER NOT NULL,
    tag1 INTEGER NOT NULL,
    tag2 INTEGER NOT NULL,
    tag3 INTEGER NOT NULL,
    published INTEGER NOT NULL,
    checked INTEGER NOT NULL,
    owner_checked INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX orders_by_price ON orders (kind, status, price, published);
CREATE INDEX orders_by_signer ON orders (signer, kind, status);
CREATE TABLE schedulers (
    workerpool TEXT PRIMARY KEY,
    url TEXT NOT NULL
) STRICT;
";
