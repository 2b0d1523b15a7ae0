//! How a process that serves or works is told to stop.

use crate::error::Error;
use tokio::signal::unix::{SignalKind, signal};

/// Resolves at SIGTERM or SIGINT; they count from this call on.
pub fn stop_signal() -> Result<impl Future<Output = ()> + Send + 'static, Error> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
