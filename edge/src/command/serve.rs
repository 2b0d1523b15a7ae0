//! `nebula serve`: the HTTP edge.

use super::signals::stop_signal;
use crate::{
    config::Config,
    error::Error,
    http,
    telemetry::{Program, Telemetry, metrics},
};
use std::sync::Arc;
use tokio::net::TcpListener;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Leave the terminal's session, so that closing it doesn't end the edge (`nebula up` does this).
    #[arg(long, env = "NEBULA_DETACH")]
    detach: bool,
}

/// Serves until SIGTERM or SIGINT. The database may be away: the edge starts, says so, and recovers by itself.
pub async fn run(arguments: &Arguments, config: Config) -> Result<(), Error> {
    if arguments.detach {
        rustix::process::setsid().map_err(std::io::Error::from)?;
    }
    let stop = stop_signal()?;
    let listener = TcpListener::bind(config.listen).await?;
    tracing::info!("listening on {}", listener.local_addr()?);
    let telemetry = Telemetry::start(Program::Edge, &config)?;
    let metrics_listen = config.metrics_listen;
    let app = http::App::new(config, telemetry.clone())?;
    if let (Some(address), Some(metrics)) = (metrics_listen, &telemetry.metrics) {
        tokio::spawn(metrics::serve(metrics::bind(address).await?, Arc::clone(metrics), None));
    }
    app.start_background()?;
    let served = http::serve(app, listener, stop).await;
    telemetry.stop().await;
    served
}
