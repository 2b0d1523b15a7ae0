//! Metrics as Prometheus reads them.

use crate::{Edge, Process, Worker, eventually, http::agent};
use std::collections::{BTreeMap, BTreeSet};

/// What one look showed.
#[derive(Clone, Debug)]
pub struct Scrape {
    pub content_type: String,
    pub text: String,
}

/// Who shows metrics.
pub trait Shows {
    fn log_of(&self) -> String;
}

impl Shows for Edge {
    fn log_of(&self) -> String {
        self.log()
    }
}

impl Shows for Worker {
    fn log_of(&self) -> String {
        self.process.log()
    }
}

impl Shows for Process {
    fn log_of(&self) -> String {
        self.log()
    }
}

/// Where somebody shows metrics; the log says.
#[track_caller]
#[must_use]
pub fn url(of: &impl Shows) -> String {
    let mut url = String::new();
    eventually("metrics are shown", || {
        let log = of.log_of();
        let found = log.split("metrics at ").nth(1).map(|rest| rest.chars().take_while(|c| *c != '"').collect::<String>());
        url = found.unwrap_or_default();
        !url.is_empty()
    });
    url
}

impl Scrape {
    /// Looks, as who knows the older format only.
    #[track_caller]
    #[must_use]
    pub fn of(shows: &impl Shows) -> Self {
        Self::accepting(shows, "text/plain")
    }

    /// Looks, with this `Accept`.
    #[track_caller]
    #[must_use]
    pub fn accepting(shows: &impl Shows, accept: &str) -> Self {
        let mut response = agent().get(url(shows)).header("accept", accept).call().unwrap();
        assert_eq!(response.status(), 200);
        let content_type = response.headers()["content-type"].to_str().unwrap().to_owned();
        Self { content_type, text: response.body_mut().read_to_string().unwrap() }
    }

    /// Names of metrics, as their help has them.
    #[must_use]
    pub fn names(&self) -> BTreeSet<String> {
        let named = self.text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_whitespace().next());
        named.map(str::to_owned).collect()
    }

    /// Samples with all of their labels, as they are written: `name{a="b"}`.
    #[must_use]
    pub fn samples(&self) -> BTreeMap<String, f64> {
        let sample = |line: &str| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        self.text.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect()
    }

    /// The sum of a metric's samples that have all of these pieces in their labels, such as `status="200"`.
    #[must_use]
    pub fn sum(&self, name: &str, pieces: &[&str]) -> f64 {
        let has_name = |sample: &str| sample.split('{').next() == Some(name);
        let samples = self.samples();
        samples
            .iter()
            .filter(|(sample, _)| has_name(sample) && pieces.iter().all(|piece| sample.contains(piece)))
            .map(|(_, value)| value)
            .sum()
    }
}
