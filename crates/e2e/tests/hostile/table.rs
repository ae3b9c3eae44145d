//! The requests, each with the status that it must get and words that must be in the answer.

use iexec_protocol::evidence::MAX_JSON;

/// A request without credentials, or with false ones.
pub(crate) struct Row {
    /// Whom it goes to.
    pub(crate) service: &'static str,
    /// Method and target.
    pub(crate) line: &'static str,
    /// Headers, one a line.
    pub(crate) headers: &'static str,
    pub(crate) body: Body,
    pub(crate) status: u16,
    /// What the refusal must name.
    pub(crate) words: &'static str,
}

/// A request's body.
pub(crate) enum Body {
    Text(&'static str),
    Bytes(&'static [u8]),
    /// So many times the same byte.
    Many(u8, usize),
}

use Body::{Bytes, Many, Text};

const fn row(
    service: &'static str,
    line: &'static str,
    headers: &'static str,
    body: Body,
    status: u16,
    words: &'static str,
) -> Row {
    Row { service, line, headers, body, status, words }
}

const NONE: Body = Text("");
const JSON: &str = "content-type: application/json";
/// 65 bytes that are no signature of anybody.
const FALSE_SIGNATURE: &str = concat!(
    "authorization: 0x",
    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff1b"
);
const DEEP: Body = Many(b'[', 4000);

/// `{T}` is a task that nobody knows, `{A}` an address, `{C}` the chain's id.
pub(crate) const TABLE: &[Row] = &[
    // Every service: what is not there, and what it does not take.
    row("sms", "GET /", "", NONE, 404, "there is nothing at /"),
    row("sms", "GET /../../etc/passwd", "", NONE, 404, "there is nothing at"),
    row("sms", "DELETE /secrets/web2", "", NONE, 405, "does not take DELETE"),
    row("storage", "GET /ipfs/../../../etc/passwd", "", NONE, 404, "there is nothing at"),
    row("storage", "POST /ipfs/x", "", NONE, 405, "does not take POST"),
    row("market", "PATCH /apporders", "", NONE, 405, "does not take PATCH"),
    row("market", "GET /%2e%2e%2f%2e%2e%2fetc%2fpasswd", "", NONE, 404, "there is nothing at"),
    row("scheduler", "GET /v1/grants", "", NONE, 405, "does not take GET"),
    row("worker", "GET /secrets", "", NONE, 404, "there is nothing at /secrets"),
    row("worker", "PUT /health", "", NONE, 405, "does not take PUT"),
    row("faucet", "GET /faucet", "", NONE, 405, "does not take GET"),
    row("faucet", "POST /faucet", JSON, Text("{}"), 400, "missing field"),
    row(
        "faucet",
        "POST /faucet",
        JSON,
        Text(r#"{"address":"0x12","coin":"ether"}"#),
        400,
        "invalid string length at line 1",
    ),
    row("faucet", "POST /faucet", JSON, DEEP, 400, "the JSON body"),
    // SMS: secrets.
    row("sms", "POST /secrets/web2", "", Text("x"), 400, "ownerAddress is missing"),
    row("sms", "POST /secrets/web2?ownerAddress={A}", "", Text("x"), 400, "secretName is missing"),
    row("sms", "POST /secrets/web2?ownerAddress=0x12&secretName=a", "", Text("x"), 400, "ownerAddress"),
    row("sms", "POST /secrets/web2?ownerAddress={A}&ownerAddress={A}&secretName=a", "", Text("x"), 400, "ownerAddress"),
    row("sms", "POST /secrets/web2?ownerAddress=%ff%fe&secretName=a", "", Text("x"), 400, "ownerAddress"),
    row("sms", "POST /secrets/web2?ownerAddress={A}&secretName=", "", Text("x"), 400, "secretName"),
    row("sms", "POST /secrets/web2?ownerAddress={A}&secretName=a", "", Text("x"), 401, "is missing"),
    row(
        "sms",
        "POST /secrets/web2?ownerAddress={A}&secretName=a",
        "authorization: 0x00",
        Text("x"),
        401,
        "Authorization",
    ),
    row(
        "sms",
        "POST /secrets/web2?ownerAddress={A}&secretName=a",
        "authorization: \u{e9}\u{e9}",
        Text("x"),
        401,
        "not ASCII",
    ),
    row("sms", "POST /secrets/web2?ownerAddress={A}&secretName=a", FALSE_SIGNATURE, Text("x"), 401, "Authorization"),
    row("sms", "POST /secrets/web2?ownerAddress={A}&secretName=a", FALSE_SIGNATURE, NONE, 400, "secret"),
    row("sms", "POST /secrets/web2?ownerAddress={A}&secretName=a", FALSE_SIGNATURE, Bytes(b"\xff\xfe"), 400, "UTF-8"),
    row("sms", "POST /secrets/web2?ownerAddress={A}&secretName=a", FALSE_SIGNATURE, Many(b'x', 4097), 413, "4 Kb"),
    row(
        "sms",
        "POST /secrets/web2?ownerAddress={A}&secretName=a",
        FALSE_SIGNATURE,
        Many(b'x', 20_000_000),
        413,
        "4 Kb",
    ),
    row("sms", "PUT /secrets/web2?ownerAddress={A}&secretName=a", FALSE_SIGNATURE, Text("x"), 401, "Authorization"),
    row("sms", "POST /secrets/web3?secretAddress=latest", "", Text("x"), 400, "secretAddress"),
    row("sms", "POST /secrets/web3?secretAddress={A}", FALSE_SIGNATURE, Text("x"), 401, "Authorization"),
    row("sms", "POST /apps/0xZZ/secrets", FALSE_SIGNATURE, Text("x"), 400, "appAddress"),
    row("sms", "POST /apps/%2e%2e/secrets", FALSE_SIGNATURE, Text("x"), 400, "appAddress"),
    row("sms", "POST /apps/%ff/secrets", FALSE_SIGNATURE, Text("x"), 400, "Invalid UTF-8"),
    row("sms", "POST /requesters/{A}/secrets/..%2f..%2fetc", FALSE_SIGNATURE, Text("x"), 400, "64 characters"),
    row("sms", "POST /requesters/{A}/secrets/a%00b", FALSE_SIGNATURE, Text("x"), 400, "64 characters"),
    row("sms", "POST /requesters/{A}/secrets/k", FALSE_SIGNATURE, Many(b'x', 5000), 400, "4 Kb"),
    // SMS: challenges, sessions, evidence.
    row("sms", "POST /tee/challenges/0x12", FALSE_SIGNATURE, NONE, 400, "chainTaskId"),
    row("sms", "POST /tee/challenges/..%2f..%2f", FALSE_SIGNATURE, NONE, 400, "chainTaskId"),
    row("sms", "POST /tee/challenges/{T}", "", NONE, 401, "Authorization"),
    row("sms", "POST /tee/challenges/{T}", FALSE_SIGNATURE, NONE, 409, "must be ACTIVE"),
    row("sms", "POST /tee/sessions", FALSE_SIGNATURE, NONE, 400, "WorkerpoolAuthorization"),
    row("sms", "POST /tee/sessions", FALSE_SIGNATURE, Text("null"), 400, "WorkerpoolAuthorization"),
    row("sms", "POST /tee/sessions", FALSE_SIGNATURE, DEEP, 400, "WorkerpoolAuthorization"),
    row(
        "sms",
        "POST /tee/sessions",
        FALSE_SIGNATURE,
        Bytes(b"{\"chainTaskId\":\"\xff\"}"),
        400,
        "WorkerpoolAuthorization",
    ),
    row("sms", "POST /tee/sessions", FALSE_SIGNATURE, Many(b' ', 9000), 413, "too large"),
    row("sms", "POST /tee/sessions/none/evidence", JSON, Text("{}"), 400, "the evidence"),
    row(
        "sms",
        "POST /tee/sessions/none/evidence",
        JSON,
        Text(r#"{"tee":"sgx2","key":"0x","image":"0x","quote":""}"#),
        400,
        "that its field cannot have",
    ),
    row("sms", "POST /tee/sessions/none/evidence", JSON, Many(b' ', MAX_JSON + 1), 413, "too large"),
    // Storage.
    row("storage", "GET /ipfs/QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKPbdG", "", NONE, 400, "CID"),
    row("storage", "GET /ipfs/..%2f..%2fstorage.sqlite", "", NONE, 400, "CID"),
    row("storage", "GET /ipfs/tmp", "", NONE, 400, "CID"),
    row("storage", "GET /ipfs/%ff", "", NONE, 400, "UTF-8"),
    row(
        "storage",
        "GET /ipfs/bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku",
        "",
        NONE,
        404,
        "not kept here",
    ),
    row("storage", "GET /v1/results/0x00", "", NONE, 400, "64 hex"),
    row("storage", "GET /v1/results/..%2f..%2f", "", NONE, 400, "64 hex"),
    row("storage", "GET /v1/results/{T}", "", NONE, 404, "no archive here"),
    row("storage", "GET /v1/results/{T}/ipfshash", "", NONE, 404, "no archive here"),
    row("storage", "PUT /v1/results/{T}", "", Many(b'x', 100), 401, "`authorization` is missing"),
    row("storage", "PUT /v1/results/{T}", "authorization: iexec e30", Many(b'x', 100), 401, "authorization"),
    row("storage", "PUT /v1/results/{T}", "authorization: Bearer x", Many(b'x', 20_000_000), 401, "authorization"),
    row("storage", "GET /results/challenge", "", NONE, 400, "chainId"),
    row("storage", "GET /results/challenge?chainId={C}", "", NONE, 400, "address"),
    row("storage", "GET /results/challenge?chainId=1&address={A}", "", NONE, 400, "chain"),
    row("storage", "GET /results/challenge?chainId=-1&address={A}", "", NONE, 400, "chainId"),
    row("storage", "POST /results/login?chainId={C}", "", Bytes(b"\xff"), 400, "text"),
    row("storage", "POST /results/login?chainId={C}", "", Text("a_b_c"), 401, "<eip712 hash>_<signature>_<address>"),
    row("storage", "POST /results/login?chainId={C}", "", Many(b'_', 300_000), 413, "length limit"),
    // Market.
    row("market", "GET /apporders", "", NONE, 400, "chainId is required"),
    row("market", "GET /apporders?chainId=1", "", NONE, 400, "this market is for chain"),
    row("market", "GET /apporders?chainId=18446744073709551616", "", NONE, 400, "chainId"),
    row("market", "GET /apporders?chainId={C}&app=any&pageSize=-1", "", NONE, 400, "pageSize"),
    row("market", "GET /apporders?chainId={C}&app=any&pageSize=1000000", "", NONE, 400, "pageSize"),
    row(
        "market",
        "GET /apporders?chainId={C}&app=any&pageIndex=18446744073709551615&pageSize=1000",
        "",
        NONE,
        400,
        "pageIndex",
    ),
    row("market", "GET /apporders?chainId={C}&app='%20OR%201=1--", "", NONE, 400, "app"),
    row("market", "GET /apporders?chainId={C}&app=any&minTag=0x1", "", NONE, 400, "minTag"),
    row("market", "GET /apporders?chainId={C}&app=any&minVolume=1e9", "", NONE, 400, "minVolume"),
    row("market", "GET /workerpoolorders?chainId={C}&category=99999999999999999999999", "", NONE, 400, "category"),
    row("market", "GET /apporders/0x12?chainId={C}", "", NONE, 400, "64 hex"),
    row("market", "GET /apporders/{T}?chainId={C}", "", NONE, 404, "not found"),
    row("market", "GET /categories/-1?chainId={C}", "", NONE, 400, "integer"),
    row("market", "GET /categories/18446744073709551615?chainId={C}", "", NONE, 404, ""),
    row("market", "GET /categories/%ff?chainId={C}", "", NONE, 400, "UTF-8"),
    row("market", "GET /deals?chainId={C}", "", NONE, 400, "requestorderHash"),
    row("market", "GET /challenge?chainId={C}&address=0x0", "", NONE, 400, "address"),
    row("market", "POST /apporders?chainId={C}", JSON, NONE, 400, "the JSON body"),
    row("market", "POST /apporders?chainId={C}", JSON, DEEP, 400, "the JSON body"),
    row("market", "POST /apporders?chainId={C}", JSON, Text("[]"), 400, "order"),
    row(
        "market",
        "POST /apporders?chainId={C}",
        JSON,
        Text(r#"{"order":{"app":"{A}","appprice":-1}}"#),
        400,
        "appprice",
    ),
    row(
        "market",
        "POST /apporders?chainId={C}",
        JSON,
        Text(r#"{"order":{"app":"{A}","appprice":1e400}}"#),
        400,
        "JSON body",
    ),
    row("market", "POST /apporders?chainId={C}", JSON, Many(b' ', 300_000), 413, "length limit"),
    row("market", "PUT /apporders?chainId={C}", JSON, Text(r#"{"target":"unpublish_everything"}"#), 400, "target"),
    row(
        "market",
        "PUT /apporders?chainId={C}",
        JSON,
        Text(r#"{"orderHash":"{T}"}"#),
        401,
        "`authorization` is missing",
    ),
    row("market", "GET /{C}/workerpools/0x0", "", NONE, 400, "workerpool"),
    row("market", "GET /1/workerpools/{A}", "", NONE, 400, "chain"),
    row("market", "GET /{C}&x=1/workerpools/{A}", "", NONE, 400, "chainId"),
    row("market", "GET /{C}/workerpools/{A}", "", NONE, 404, "no scheduler"),
    row(
        "market",
        "PUT /{C}/workerpools/{A}",
        JSON,
        Text(r#"{"apiUrl":"file:///etc/passwd"}"#),
        401,
        "`authorization` is missing",
    ),
    // Scheduler.
    row("scheduler", "POST /v1/grants", "", NONE, 401, "Authorization header is missing"),
    row("scheduler", "POST /v1/grants", "authorization: 1_2_3", NONE, 401, "<seconds>_<signature>_<worker address>"),
    row(
        "scheduler",
        "POST /v1/grants",
        "authorization: -1_2_3_4_5",
        NONE,
        401,
        "<seconds>_<signature>_<worker address>",
    ),
    row("scheduler", "POST /v1/grants", "authorization: 99999999999999999999_0x_0x", NONE, 401, "<seconds>"),
    row("scheduler", "POST /v1/grants", "", Many(b'x', 5000), 413, "length limit"),
    row("scheduler", "POST /v1/grants/{T}/report", JSON, Text("{}"), 401, "Authorization"),
    row("scheduler", "POST /v1/grants/0x/report", JSON, Text("{}"), 400, "64 hex"),
    row("scheduler", "POST /v1/grants/..%2f..%2f/report", JSON, Text("{}"), 400, "64 hex"),
    row("scheduler", "GET /tasks/0xzz", "", NONE, 400, "64 hex"),
    row("scheduler", "GET /tasks/%00", "", NONE, 400, "64 hex"),
    row("scheduler", "GET /tasks/%ff", "", NONE, 400, "UTF-8"),
    row("scheduler", "GET /tasks/{T}", "", NONE, 404, "no task"),
    row("scheduler", "GET /tasks/{T}/logs", "", NONE, 404, "no task"),
    row("scheduler", "GET /tasks/logs/challenge", "", NONE, 400, "address"),
    row("scheduler", "GET /tasks/logs/challenge?chainId=1&address={A}", "", NONE, 400, "chain"),
    row("scheduler", "GET /tasks/logs/challenge?chainId=-1&address={A}", "", NONE, 400, "chainId"),
];
