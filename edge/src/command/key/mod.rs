//! `nebula key`: keys of every sort. Each file one sort.

mod api;
pub mod audit;
pub mod operator;
pub mod sealing;
pub mod signing;

pub use api::Page;

use crate::{config::Config, error::Error};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    sort: Sort,
}

#[derive(Debug, clap::Subcommand)]
enum Sort {
    /// The keys that access tokens are signed with: private halves as files here, public halves as rows in the database.
    #[command(subcommand)]
    Signing(signing::Action),
    /// The keys that secrets are sealed with: files here, fingerprints in the database.
    #[command(subcommand)]
    Sealing(sealing::Action),
    /// The keys that seal the audit log: files with the workers, fingerprints in the database.
    #[command(subcommand)]
    Audit(audit::Action),
    /// API keys of a tenant, by the operator's key.
    #[command(subcommand)]
    Api(api::Action),
    /// Keys of operators: API keys of the platform's tenant, with which tenants and their people are looked after.
    #[command(subcommand)]
    Operator(operator::Action),
}

pub async fn run(arguments: &Arguments, config: &Config) -> Result<(), Error> {
    match &arguments.sort {
        Sort::Signing(action) => signing::run(action, config).await,
        Sort::Sealing(action) => sealing::run(action, config).await,
        Sort::Audit(action) => audit::run(action, config).await,
        Sort::Api(action) => api::run(action, config).await,
        Sort::Operator(action) => operator::run(action, config).await,
    }
}
