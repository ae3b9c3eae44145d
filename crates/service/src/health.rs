//! Is it alive, is it ready: what a service depends on, asked when somebody wants to know.

use std::{
    collections::BTreeMap,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use axum::{
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use futures_util::future::{BoxFuture, join_all};
use serde_json::json;
use tokio::sync::Mutex;

use crate::{Json, Metrics};

/// Time that a dependency has to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long an answer is given again, so that whoever asks often asks the dependencies no more often than this.
const FRESH: Duration = Duration::from_secs(1);

/// What a dependency is asked.
pub type Question<T, A, E> = for<'a> fn(&'a T) -> BoxFuture<'a, Result<A, E>>;

type Probe = dyn Fn() -> BoxFuture<'static, anyhow::Result<()>> + Send + Sync;

/// A dependency without which a service cannot do its work.
#[derive(Clone)]
pub struct Check {
    name: &'static str,
    probe: Arc<Probe>,
}

impl Check {
    /// A dependency's name, and the question to it. Of an error the outermost context is shown to anyone who asks,
    /// so it must name no address and no secret; the whole is logged.
    pub fn new(
        name: &'static str,
        probe: impl Fn() -> BoxFuture<'static, anyhow::Result<()>> + Send + Sync + 'static,
    ) -> Self {
        Self { name, probe: Arc::new(probe) }
    }

    /// A dependency that is fine as long as `whom` answers the question.
    pub fn answers<T, A, E>(name: &'static str, whom: T, question: Question<T, A, E>) -> Self
    where
        T: Clone + Send + Sync + 'static,
        A: Send + 'static,
        E: std::error::Error + Send + Sync + 'static,
    {
        Self::new(name, move || {
            let whom = whom.clone();
            Box::pin(
                async move { question(&whom).await.map(drop).with_context(|| format!("the {name} does not answer")) },
            )
        })
    }

    /// The dependency `database`: a store that answers.
    #[cfg(feature = "store")]
    pub fn store(store: &crate::Store) -> Self {
        fn select(pool: &sqlx::SqlitePool) -> BoxFuture<'_, Result<sqlx::sqlite::SqliteQueryResult, sqlx::Error>> {
            Box::pin(sqlx::query("SELECT 1").execute(pool))
        }
        Self::answers("database", store.pool().clone(), select)
    }

    async fn ask(&self) -> Result<(), String> {
        let late = || Err(anyhow::anyhow!("no answer within {} s", PATIENCE.as_secs()));
        let answer = tokio::time::timeout(PATIENCE, (self.probe)()).await.unwrap_or_else(|_| late());
        answer.map_err(|error| {
            tracing::warn!("not ready: {}: {error:#}", self.name);
            error.to_string()
        })
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Check").field(&self.name).finish()
    }
}

/// The dependencies' answers, each asked at most once in [`FRESH`].
#[derive(Debug)]
pub(crate) struct Readiness {
    checks: Vec<Check>,
    metrics: Metrics,
    last: Mutex<Option<(Instant, Answers)>>,
}

/// By dependency: `None` when it is fine, or the reason why not.
type Answers = BTreeMap<&'static str, Option<String>>;

impl Readiness {
    pub(crate) fn new(checks: Vec<Check>, metrics: Metrics) -> Self {
        Self { checks, metrics, last: Mutex::new(None) }
    }

    /// 200 or 503, with a word for each dependency.
    pub(crate) async fn show(&self) -> Response {
        let answers = self.answers().await;
        let ready = answers.values().all(Option::is_none);
        let (status, word) =
            if ready { (StatusCode::OK, "ready") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready") };
        let checks: BTreeMap<_, _> =
            answers.iter().map(|(name, reason)| (name, reason.as_deref().unwrap_or("ok"))).collect();
        (status, Json(json!({ "status": word, "checks": checks }))).into_response()
    }

    async fn answers(&self) -> Answers {
        // Held while asking: who comes meanwhile gets the same answers.
        let mut last = self.last.lock().await;
        if let Some((_, answers)) = last.as_ref().filter(|(asked, _)| asked.elapsed() < FRESH) {
            return answers.clone();
        }
        let asked = join_all(self.checks.iter().map(|check| async move { (check.name, check.ask().await.err()) }));
        let answers: Answers = asked.await.into_iter().collect();
        for (name, reason) in &answers {
            let help = "1 if the dependency answered when it was last asked (by /health/ready).";
            self.metrics.gauge("dependency_ready", help, &[("dependency", name)]).set(u64::from(reason.is_none()));
        }
        *last = Some((Instant::now(), answers.clone()));
        answers
    }
}
