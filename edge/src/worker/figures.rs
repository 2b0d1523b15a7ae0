//! The database's own figures (`nebula.metrics()`), shown among the worker's metrics: read when somebody looks, over a connection of their own, and not too often. Where they can't be
//! had, the rest is shown.

use super::Context;
use crate::{
    config::DatabaseUrl,
    db::connect_admin,
    error::Error,
    telemetry::metrics::{Metrics, Refresh},
};
use arc_swap::ArcSwap;
use async_trait::async_trait;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};
use serde::Deserialize;
use std::{fmt, sync::Arc, time::Duration};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};
use tokio_postgres::Client;

/// Whoever looks again within this time sees the same.
const KEPT: Duration = Duration::from_secs(5);
/// For connecting and reading: a scrape lasts no longer because of it.
const PATIENCE: Duration = Duration::from_secs(2);
/// The server gives up by itself, too.
const BEGIN: &str = "set statement_timeout = '2s'; set application_name = 'nebula-worker-metrics'";
const READ: &str = "select coalesce(json_agg(m), '[]')::text from nebula.metrics() m";
/// More than that is not what the function says.
const MAX_FIGURES: usize = 1_000;
const MAX_LABEL_BYTES: usize = 64;

/// A row of `nebula.metrics()`.
#[derive(Clone, Debug, Deserialize)]
struct Figure {
    name: String,
    kind: String,
    help: String,
    labels: std::collections::BTreeMap<String, String>,
    value: f64,
}

/// Reads and shows.
pub struct Figures {
    url: DatabaseUrl,
    session: Mutex<Session>,
    shown: ArcSwap<Shown>,
}

#[derive(Default)]
struct Session {
    client: Option<Client>,
    read_at: Option<Instant>,
}

#[derive(Default)]
struct Shown {
    figures: Vec<Figure>,
    is_up: bool,
    seconds: f64,
}

impl Figures {
    /// Shows them among these metrics; connects to nothing yet.
    pub fn start(context: &Context, metrics: &Metrics) -> Result<Arc<Self>, Error> {
        let url = context.config.worker_database_url.clone().ok_or(Error::Missing("NEBULA_WORKER_DATABASE_URL"))?;
        let figures = Arc::new(Self { url, session: Mutex::default(), shown: ArcSwap::default() });
        metrics.add(Shows(Arc::clone(&figures)));
        Ok(figures)
    }

    async fn read(&self, session: &mut Session) -> Result<Vec<Figure>, Error> {
        let client = match session.client.take().filter(|client| !client.is_closed()) {
            Some(client) => client,
            None => {
                let client = connect_admin(&self.url).await?;
                client.batch_execute(BEGIN).await?;
                client
            }
        };
        let text: String = client.query_typed_one(READ, &[]).await?.try_get(0)?;
        // Only now: one that was given up in the middle of a statement is no good any more.
        session.client = Some(client);
        let mut figures: Vec<Figure> =
            serde_json::from_str(&text).map_err(|error| Error::Database(format!("nebula.metrics(): {error}")))?;
        figures.retain(Figure::is_well_formed);
        figures.truncate(MAX_FIGURES);
        Ok(figures)
    }
}

#[async_trait]
impl Refresh for Figures {
    async fn refresh(&self) {
        let mut session = self.session.lock().await;
        if session.read_at.is_some_and(|at| at.elapsed() < KEPT) {
            return;
        }
        let began = Instant::now();
        let read =
            timeout(PATIENCE, self.read(&mut session)).await.unwrap_or_else(|_| Err(Error::Database("no answer within 2 s".to_owned())));
        session.read_at = Some(Instant::now());
        let was_up = self.shown.load().is_up;
        let shown = match read {
            Ok(figures) => Shown { figures, is_up: true, seconds: began.elapsed().as_secs_f64() },
            Err(error) => {
                if was_up {
                    tracing::warn!("the database's figures can't be read: {error}");
                }
                Shown { seconds: began.elapsed().as_secs_f64(), ..Shown::default() }
            }
        };
        self.shown.store(Arc::new(shown));
    }
}

impl Figure {
    /// Whatever the database says, the page stays readable.
    fn is_well_formed(&self) -> bool {
        let is_name = |name: &str| {
            !name.is_empty() && name.len() <= 80 && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        self.name.starts_with("nebula_")
            && is_name(&self.name)
            && matches!(self.kind.as_str(), "gauge" | "counter")
            && self.labels.iter().all(|(name, value)| is_name(name) && value.len() <= MAX_LABEL_BYTES)
            && self.help.len() <= 300
            && !self.help.contains(['\n', '\\'])
    }

    /// As a family is called: the encoder appends `_total` to counters by itself.
    fn family(&self) -> &str {
        if self.kind == "counter" { self.name.strip_suffix("_total").unwrap_or(&self.name) } else { &self.name }
    }
}

/// What the registry holds.
struct Shows(Arc<Figures>);

impl fmt::Debug for Shows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nebula.metrics()")
    }
}

impl Collector for Shows {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let shown = self.0.shown.load_full();
        for (name, help, value) in [
            ("nebula_database_figures_up", "Whether the database's own figures could be read.", f64::from(u8::from(shown.is_up))),
            ("nebula_database_figures_read_seconds", "How long that took.", shown.seconds),
        ] {
            ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        for family in shown.figures.chunk_by(|a, b| a.name == b.name) {
            let Some(first) = family.first() else { continue };
            let is_counter = first.kind == "counter";
            let kind = if is_counter { MetricType::Counter } else { MetricType::Gauge };
            let mut metric = encoder.encode_descriptor(first.family(), &first.help, None, kind)?;
            for figure in family {
                let labels = figure.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect::<Vec<_>>();
                let one = metric.encode_family(&labels)?;
                if is_counter { ConstCounter::new(figure.value).encode(one)? } else { ConstGauge::new(figure.value).encode(one)? }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn figure(json: serde_json::Value) -> bool {
        serde_json::from_value::<Figure>(json).unwrap().is_well_formed()
    }

    #[test]
    fn what_would_break_the_page_is_left_out() {
        let good = serde_json::json!({ "name": "nebula_x", "kind": "gauge", "help": "X.", "labels": { "a": "b\"\n" }, "value": 1 });
        assert!(figure(good.clone()));
        for (member, bad) in [("name", "nebula_x y"), ("name", "up"), ("name", "nebula_é"), ("kind", "summary"), ("help", "a\nnebula_y 1")]
        {
            let mut broken = good.clone();
            *broken.get_mut(member).unwrap() = bad.into();
            assert!(!figure(broken), "{member} {bad}");
        }
    }
}
