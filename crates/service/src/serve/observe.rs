//! What happens around every request: its caller admitted, its time bounded, its answer worded and counted.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock, PoisonError, RwLock},
    time::{Duration, Instant},
};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::Response,
};
use ipnet::IpNet;

use super::{Failed, Options, body_time, words};
use crate::{Listen, Metrics, Problem, caller, limit::RateLimit, metrics::Histogram};

/// What every request is measured by.
pub(super) struct Observer {
    time: Duration,
    body_time: Option<Duration>,
    refuse: fn(Problem) -> Response,
    limit: Option<RateLimit>,
    proxies: Vec<IpNet>,
    times: Times,
}

impl Observer {
    pub(super) fn new(options: &Options, listen: &Listen) -> Self {
        Self {
            time: options.time,
            body_time: options.body_time,
            refuse: options.refuse,
            limit: listen.rate.map(RateLimit::new),
            proxies: listen.trusted_proxies.clone(),
            times: Times { metrics: options.metrics.clone(), routes: RwLock::default() },
        }
    }

    /// Whose turn it is not, is refused. Those who watch the service are not callers.
    fn admit(&self, request: &mut Request) -> Result<(), Problem> {
        let client = caller::client(request.extensions(), request.headers(), &self.proxies);
        let Some(client) = client else { return Ok(()) };
        request.extensions_mut().insert(client);
        let watches = matches!(request.uri().path(), "/health" | "/health/live" | "/health/ready" | "/metrics");
        match &self.limit {
            Some(limit) if !watches => Ok(limit.admit(&client.network(), Instant::now())?),
            _ => Ok(()),
        }
    }

    async fn answer(&self, request: Request, next: Next) -> Response {
        let slow = || {
            let words = format!("no answer within {} s", self.time.as_secs());
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, words)
        };
        let (request, lateness) = body_time::bound(request, self.body_time);
        let answer = tokio::time::timeout(self.time, next.run(request)).await;
        let answer = answer.unwrap_or_else(|_| (self.refuse)(slow()));
        lateness.problem().map_or(answer, self.refuse)
    }

    fn refusal(&self, problem: Problem) -> Response {
        let seconds = problem.retry_seconds();
        let mut answer = (self.refuse)(problem);
        if let Some(seconds) = seconds {
            answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        answer
    }
}

/// The middleware.
pub(super) async fn observe(State(observer): State<Arc<Observer>>, mut request: Request, next: Next) -> Response {
    let begun = Instant::now();
    // Both are shared bytes: nothing is copied.
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let answer = match observer.admit(&mut request) {
        Ok(()) => observer.answer(request, next).await,
        Err(problem) => observer.refusal(problem),
    };
    let answer = words::given(answer, &method, uri.path(), observer.refuse).await;
    let (status, elapsed) = (answer.status(), begun.elapsed());
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    observer.times.observe(route, &method, status, elapsed);
    if let Some(Failed(dependency)) = answer.extensions().get() {
        observer.times.failed(dependency);
    }
    tracing::debug!(%method, path = uri.path(), status = status.as_u16(), ?elapsed, "answered");
    answer
}

/// Methods that are told apart; any other is `OTHER`, since anybody may invent some.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "OTHER"];
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Time of answers by route template, method and class of status. No raw path is a label.
struct Times {
    metrics: Metrics,
    routes: RwLock<HashMap<String, Arc<Route>>>,
}

/// A route's histograms, by method and class; each is made when it is first needed.
type Route = [[OnceLock<Histogram>; CLASSES.len()]; METHODS.len()];

impl Times {
    fn observe(&self, route: &str, method: &Method, status: StatusCode, elapsed: Duration) {
        let of_method = METHODS.iter().position(|name| *name == method.as_str()).unwrap_or(METHODS.len() - 1);
        let of_class = usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1;
        let labels = [("route", route), ("method", METHODS[of_method]), ("status", CLASSES[of_class])];
        let help = "Time to the head of an answer, by route template, method and class of status.";
        let make = || self.metrics.histogram("http_request_duration_seconds", help, &labels);
        self.route(route)[of_method][of_class].get_or_init(make).observe(elapsed);
        self.metrics.counter("http_requests_total", "Requests answered, by class of status.", &labels[2..]).increment();
    }

    fn failed(&self, dependency: &str) {
        let help = "Requests that failed because a dependency did, by dependency.";
        self.metrics.counter("dependency_failures_total", help, &[("dependency", dependency)]).increment();
    }

    fn route(&self, route: &str) -> Arc<Route> {
        let known = self.routes.read().unwrap_or_else(PoisonError::into_inner).get(route).cloned();
        known.unwrap_or_else(|| {
            let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(routes.entry(route.to_owned()).or_default())
        })
    }
}
