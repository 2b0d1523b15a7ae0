//! Telling tenants: one attempt at one address, recorded.
//!
//! A host gets so many requests at once and no more. What waits for a host waits outside of the room: a slow host keeps nobody else's work from being done.
//! It does stay in hand: its lease is prolonged, and its tenant has that much less to be given, which bounds what can wait.

mod hosts;
mod record;
mod request;
mod signature;

use super::{
    Context, Outcome,
    dispatch::{Taken, log},
    handlers,
    http::{Answer, Client, PostError},
    patience::until_answered,
    run::Running,
};
use hosts::{Hosts, Turn};
use opentelemetry::trace::SpanKind;
use record::{Attempt, Attempted};
use request::{Delivery, Request};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::mpsc, task::JoinSet};

/// After a shorter wait for its host a delivery is sent as it was read: as one is that had just begun.
const FRESH: Duration = Duration::from_millis(250);

/// What sending needs and all deliveries share.
pub struct Webhooks {
    client: Client,
    hosts: Arc<Hosts>,
    attempted: mpsc::Sender<Attempted>,
}

impl Webhooks {
    /// Reads the machine's root certificates; starts writing down attempts.
    pub fn start(context: &Arc<Context>, parts: &mut JoinSet<()>) -> Self {
        let config = &context.config;
        let (attempted, to_write) = mpsc::channel(config.worker_concurrency.max(1));
        parts.spawn(record::write(Arc::clone(context), to_write));
        Self {
            client: Client::new(
                Duration::from_millis(config.webhook_timeout_ms),
                config.allow_loopback_webhooks,
                config.worker_host_concurrency,
            ),
            hosts: Hosts::new(config.worker_host_concurrency),
            attempted,
        }
    }
}

/// Sends what these jobs are about, each in a task of its own.
pub async fn deliver(running: Arc<Running>, jobs: Vec<Taken>) {
    let leases = jobs.iter().map(|taken| taken.job.lease()).collect::<Vec<_>>();
    let read = until_answered("read what is to be delivered", || request::read(&running.context, &leases)).await;
    let mut deliveries = match read {
        Ok(deliveries) => deliveries,
        // The leases end by themselves, a bounded number of times.
        Err(failure) => return tracing::error!("what is to be delivered can't be read: {}", failure.reason()),
    };
    for taken in jobs {
        // A job that is not in the answer is not ours any more.
        if let Some(delivery) = deliveries.remove(&taken.job.id) {
            tokio::spawn(deliver_one(Arc::clone(&running), taken, delivery));
        }
    }
}

async fn deliver_one(running: Arc<Running>, mut taken: Taken, mut delivery: Delivery) {
    loop {
        let request = match delivery {
            Delivery::Nothing => return running.end(taken, Outcome::Done).await,
            Delivery::Forgotten => {
                let error = "the event is not kept any more".to_owned();
                return running.end(taken, Outcome::Dead { error }).await;
            }
            Delivery::Request(request) => request,
        };
        let waiting = match Hosts::ask(&running.webhooks.hosts, &request.host) {
            Turn::Now(_turn) => {
                running.enter(&mut taken).await;
                return attempt(&running, taken, &request).await;
            }
            Turn::Wait(waiting) => waiting,
            Turn::Crowded => {
                let error = "too many requests wait for this host".to_owned();
                return running.end(taken, Outcome::Retry { error, after: None }).await;
            }
        };
        taken.place = None;
        let began = Instant::now();
        let turn = tokio::select! {
            turn = waiting.turn() => turn,
            // What has not begun is left to another worker.
            () = running.stopping.cancelled() => return,
        };
        running.enter(&mut taken).await;
        if began.elapsed() < FRESH {
            let _turn = turn;
            return attempt(&running, taken, &request).await;
        }
        // Much may have happened since it was read: the webhook is suspended, its address another, the job somebody else's.
        let lease = [taken.job.lease()];
        let again = until_answered("read what is to be delivered", || request::read(&running.context, &lease)).await;
        let Some(again) = again.ok().and_then(|mut read| read.remove(&taken.job.id)) else { return };
        match again {
            Delivery::Request(again) if again.host == request.host => {
                let _turn = turn;
                return attempt(&running, taken, &again).await;
            }
            other => delivery = other,
        }
    }
}

/// One attempt: signed now, sent once, written down whatever became of it. It is not broken off when the lease is lost: what was sent can't be taken back.
async fn attempt(running: &Running, taken: Taken, request: &Request) {
    let began = Instant::now();
    let mut headers = match request.headers(running.context.keys.as_ref()).await {
        Ok(headers) => headers,
        // The operator's trouble, not the receiver's: nothing was sent, so nothing is held against the webhook.
        Err(error) => {
            tracing::error!(
                tenantId = taken.job.tenant.map(tracing::field::display),
                "the secret of webhook {} can't be opened: {error}",
                request.webhook
            );
            let error = "the secret can't be opened by this worker".to_owned();
            return running.end(taken, Outcome::Retry { error, after: None }).await;
        }
    };
    let telemetry = &running.context.telemetry;
    let trace = telemetry.traces.as_ref().map(|traces| traces.work(handlers::label(&taken.job), SpanKind::Client, taken.job.attempt));
    if let Some(trace) = &trace {
        trace.tell(&mut headers);
    }
    let answered = running.webhooks.client.post(&request.url, headers, request.body.clone()).await;
    let took = began.elapsed();
    let outcome = outcome(&answered);
    if let Some(trace) = trace {
        trace.worked(outcome, answered.as_ref().ok().map(|answer| answer.status));
    }
    if let Some(metrics) = running.context.metrics() {
        metrics.delivered(outcome, took);
        metrics.tried(handlers::label(&taken.job), if outcome == "2xx" { "done" } else { "retry" });
    }
    let attempt = Attempt::of(&taken.job, answered, took);
    if let Some(error) = &attempt.error {
        log(&taken.job, error);
    }
    // The other side lives as long as the worker.
    let _ = running.webhooks.attempted.send((taken.hold, attempt)).await;
}

/// The class of an answer, or why there was none: a closed list.
fn outcome(answered: &Result<Answer, PostError>) -> &'static str {
    match answered {
        Ok(answer) => match answer.status {
            200..300 => "2xx",
            300..400 => "3xx",
            400..500 => "4xx",
            500..600 => "5xx",
            _ => "other",
        },
        Err(PostError::Timeout) => "timeout",
        Err(PostError::Tls(_)) => "tls",
        Err(PostError::NoSuchHost) => "no_host",
        Err(PostError::NotPublic | PostError::Url) => "not_allowed",
        Err(PostError::Refused | PostError::Unreachable) => "no_connection",
        Err(PostError::Closed | PostError::NotHttp) => "no_answer",
    }
}
