//! Who does which job.

use super::{Context, Job, Outcome, exports, privacy};

/// What a job is, by its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A request to somebody's address.
    Webhook,
    /// Work of the product itself.
    Work,
}

impl Kind {
    #[must_use]
    pub fn of(job: &Job) -> Self {
        match job.kind.as_str() {
            "webhook.delivery" | "webhook.test" | "webhook.redelivery" => Self::Webhook,
            _ => Self::Work,
        }
    }
}

/// A job's type, as metrics and traces call it: a closed list.
#[must_use]
pub fn label(job: &Job) -> &'static str {
    match job.kind.as_str() {
        "webhook.delivery" => "webhook.delivery",
        "webhook.test" => "webhook.test",
        "webhook.redelivery" => "webhook.redelivery",
        "export.run" => "export.run",
        "storage.remove" => "storage.remove",
        "privacy.erased" => "privacy.erased",
        _ => "other",
    }
}

/// Does a job that is the product's own work.
pub async fn run(context: &Context, job: &Job) -> Outcome {
    match job.kind.as_str() {
        "export.run" | "storage.remove" => exports::run(context, job).await,
        "privacy.erased" => privacy::run(context, job).await,
        _ => Outcome::Dead { error: "nobody does this".to_owned() },
    }
}
