//! `nebula worker`: does what the outbox holds.

use super::{output::note, signals::stop_signal};
use crate::{
    config::Config,
    db::{self, scalar_text},
    error::Error,
    telemetry::{Program, Telemetry, metrics},
    worker::{self, Context, Until},
};
use std::sync::Arc;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// First let this database send from where it stands now, as an administrator (NEBULA_ADMIN_DATABASE_URL): for one that was moved or restored on
    /// purpose. A copy that sends what its original sends, too, does so twice.
    #[arg(long, env = "NEBULA_ADOPT")]
    pub adopt: bool,
    /// End when nothing is due and nothing under way, and do no periodic tasks: for cron and tests.
    #[arg(long, env = "NEBULA_UNTIL_IDLE")]
    until_idle: bool,
    /// Leave the terminal's session, so that closing it doesn't end the worker (`nebula up` does this).
    #[arg(long, env = "NEBULA_DETACH")]
    detach: bool,
}

/// Works until SIGTERM or SIGINT. The database may be away: the worker says so, and goes on by itself.
pub async fn run(arguments: &Arguments, config: Config) -> Result<(), Error> {
    if arguments.detach {
        rustix::process::setsid().map_err(std::io::Error::from)?;
    }
    let stop = stop_signal()?;
    if arguments.adopt {
        let client = db::connect_admin(config.require_admin_database_url()?).await?;
        let place = scalar_text(&client, "select nebula.adopt_here()", &[]).await?;
        note(&format!("this database may send from here now: {place}"));
    }
    let until = if arguments.until_idle { Until::Idle } else { Until::Told };
    let telemetry = Telemetry::start(Program::Worker, &config)?;
    let metrics_listen = config.worker_metrics_listen;
    let context = Context::new(config, telemetry.clone())?;
    if let (Some(address), Some(metrics)) = (metrics_listen, &telemetry.metrics) {
        let figures = worker::Figures::start(&context, metrics)?;
        tokio::spawn(metrics::serve(metrics::bind(address).await?, Arc::clone(metrics), Some(figures)));
    }
    let worked = worker::run(context, until, stop).await;
    telemetry.stop().await;
    worked
}
