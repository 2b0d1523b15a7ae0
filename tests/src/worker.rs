//! The real worker: a process of its own.

use crate::{
    Process,
    cluster::{Installation, nebula_program},
    eventually,
};
use std::path::Path;

/// A running `nebula worker`.
pub struct Worker {
    pub process: Process,
}

impl Worker {
    /// Starts the worker and waits until it works.
    #[must_use]
    pub fn start(installation: &Installation, database_url: &str, settings: &[(&str, &str)]) -> Self {
        Self::start_program(&nebula_program(), installation, database_url, settings)
    }

    /// The same with the program of any release.
    #[must_use]
    pub fn start_program(program: &Path, installation: &Installation, database_url: &str, settings: &[(&str, &str)]) -> Self {
        let mut worker = Self::start_program_anyhow(program, installation, database_url, &[], settings);
        eventually("the worker works", || {
            let log = worker.process.log();
            assert!(worker.process.ended().is_none(), "the worker ended: {log}");
            log.contains(" works")
        });
        worker
    }

    /// Starts the worker with these options, whatever becomes of it. What becomes due by itself is looked for often.
    #[must_use]
    pub fn start_anyhow(installation: &Installation, database_url: &str, options: &[&str], settings: &[(&str, &str)]) -> Self {
        Self::start_program_anyhow(&nebula_program(), installation, database_url, options, settings)
    }

    fn start_program_anyhow(
        program: &Path,
        installation: &Installation,
        database_url: &str,
        options: &[&str],
        settings: &[(&str, &str)],
    ) -> Self {
        let own = [("NEBULA_WORKER_DATABASE_URL", database_url), ("NEBULA_WORKER_POLL_MS", "50")];
        let arguments = [&["worker"], options].concat();
        Self { process: Process::start_program(program, installation, &arguments, &[&own, settings].concat()) }
    }
}
