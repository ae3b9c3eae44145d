//! Which scheduler serves a workerpool: told by the configuration, or by the workerpool's owner (rules M13, M14).

use std::collections::HashMap;

use iexec_protocol::Address;
use iexec_service::{Problem, Store};
use serde_json::{Value, json};
use url::Url;

use crate::{
    Market,
    answer::{Answer, Yes, chain_down},
    filter::column,
};

/// Longest URL.
const MAX_URL: usize = 512;

/// Takes over the configuration's schedulers.
pub(crate) async fn learn(store: &Store, schedulers: &HashMap<Address, String>) -> anyhow::Result<()> {
    for (workerpool, url) in schedulers {
        let url = origin(url).map_err(|problem| anyhow::anyhow!("{workerpool}: {}", problem.detail()))?;
        keep(store, *workerpool, &url).await?;
    }
    Ok(())
}

/// `GET /{chainId}/workerpools/{address}`: `{apiUrl}`, as the SDK reads it.
pub(crate) async fn find(market: &Market, workerpool: Address) -> Answer {
    let url: Option<String> = sqlx::query_scalar("SELECT url FROM schedulers WHERE workerpool = ?")
        .bind(column(workerpool))
        .fetch_optional(market.store.pool())
        .await
        .map_err(Problem::from)?;
    let url = url.ok_or_else(|| Problem::not_found(format!("no scheduler is known for workerpool {workerpool}")))?;
    Ok(Yes(json!({ "apiUrl": url })))
}

/// `PUT /{chainId}/workerpools/{address}` with `{apiUrl}`, by the workerpool's owner.
pub(crate) async fn set(market: &Market, workerpool: Address, caller: Address, body: &Value) -> Answer {
    let text =
        body["apiUrl"].as_str().ok_or_else(|| Problem::bad_request("the body must be {\"apiUrl\": \"http…\"}"))?;
    let url = origin(text)?;
    let pool = market.chain.view_workerpool(workerpool).await.map_err(chain_down)?;
    let pool = pool.ok_or_else(|| Problem::not_found(format!("no workerpool is deployed at {workerpool}")))?;
    if pool.owner != caller {
        return Err(Problem::forbidden(format!(
            "only its owner {} may set the scheduler of workerpool {workerpool}",
            pool.owner
        ))
        .into());
    }
    keep(&market.store, workerpool, &url).await.map_err(Problem::from)?;
    Ok(Yes(json!({ "apiUrl": url })))
}

async fn keep(store: &Store, workerpool: Address, url: &str) -> Result<(), sqlx::Error> {
    let upsert = "INSERT INTO schedulers VALUES (?, ?) ON CONFLICT (workerpool) DO UPDATE SET url = excluded.url";
    sqlx::query(upsert).bind(column(workerpool)).bind(url).execute(store.pool()).await.map(drop)
}

/// An http or https origin without a path: SDKs drop one.
fn origin(text: &str) -> Result<String, Problem> {
    let refused = || {
        let shown: String = text.chars().take(80).collect();
        Problem::bad_request(format!("apiUrl must be an http or https origin without a path, got {shown:?}"))
    };
    let url: Url = text.parse().ok().filter(|_| text.len() <= MAX_URL).ok_or_else(refused)?;
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    if matches!(url.scheme(), "http" | "https") && bare {
        Ok(url.origin().ascii_serialization())
    } else {
        Err(refused())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheduler_is_known_by_its_bare_origin() {
        assert_eq!(origin("http://127.0.0.1:13000/").unwrap(), "http://127.0.0.1:13000");
        for bad in ["", "ftp://a", "http://a/b", "http://a?b", "http://u@a", "javascript:alert(1)"] {
            assert!(origin(bad).is_err(), "{bad}");
        }
    }
}
