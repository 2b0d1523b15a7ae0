//! A process of the real program.

use crate::{
    cluster::{Installation, nebula_program},
    eventually,
};
use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

/// A running `nebula …`; killed by its id when dropped.
pub struct Process {
    child: Child,
    log: PathBuf,
    mark: PathBuf,
}

impl Process {
    /// Starts it with these variables and no others.
    #[must_use]
    pub fn start(installation: &Installation, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::start_program(&nebula_program(), installation, arguments, variables)
    }

    /// The same with the program of any release.
    #[must_use]
    pub fn start_program(program: &Path, installation: &Installation, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let dir = &installation.cluster.dir;
        let log = dir.join(format!("process-{}.log", COUNT.fetch_add(1, Ordering::Relaxed)));
        let child = Command::new(program)
            .args(arguments)
            .env_clear()
            .env("NEBULA_KEYS_DIR", &installation.keys_dir)
            .envs(variables.iter().copied())
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        // Whoever watches the cluster ends what is marked, should this process be gone first.
        let mark = dir.join("edges").join(child.id().to_string());
        fs::write(&mark, "").unwrap();
        Self { child, log, mark }
    }

    /// What it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Sends a signal: `TERM`, `KILL`, `STOP`, `CONT`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits until it has ended.
    pub fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the process ends", || {
            status = self.ended();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.mark);
        if std::thread::panicking() {
            let log = self.log();
            let errors = log.lines().filter(|line| line.contains("\"ERROR\"") && !line.contains("/health/ready")).collect::<Vec<_>>();
            if !errors.is_empty() {
                let _ = writeln!(std::io::stderr(), "the process logged:\n{}", errors.join("\n"));
            }
        }
    }
}
