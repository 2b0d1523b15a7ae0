mod alerts;
mod figures;
mod logs;
mod metrics;
mod sentry;
mod traces;
