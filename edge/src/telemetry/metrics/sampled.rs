//! Gauges that cost nothing until somebody looks.

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
};
use std::fmt;

/// A count that is read at each scrape.
pub struct Sampled {
    name: &'static str,
    help: &'static str,
    read: Box<dyn Fn() -> usize + Send + Sync>,
}

impl Sampled {
    #[must_use]
    pub fn new(name: &'static str, help: &'static str, read: impl Fn() -> usize + Send + Sync + 'static) -> Self {
        Self { name, help, read: Box::new(read) }
    }
}

impl fmt::Debug for Sampled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Collector for Sampled {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let metric = encoder.encode_descriptor(self.name, self.help, None, MetricType::Gauge)?;
        ConstGauge::new(i64::try_from((self.read)()).unwrap_or(i64::MAX)).encode(metric)
    }
}
