//! Processes in the background: started when they are not running, restarted when program or settings changed.

use super::{super::output::note, cluster::Cluster, env_file::EnvFile, place::Place};
use crate::error::Error;
use rustix::process::{Pid, Signal, kill_process};
use sha2::{Digest, Sha256};
use std::{
    fs::{self, OpenOptions},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant, UNIX_EPOCH},
};
use tokio::time::sleep;

/// How long a process may take until it is ready.
pub const READY_SECONDS: u64 = 30;
/// Longer than the drain of `serve` and `worker` by default.
const STOP_SECONDS: u64 = 25;

/// A process that `up` starts at a place.
pub struct Process<'a> {
    place: &'a Place,
    /// What its files are called.
    name: &'static str,
    /// The subcommand.
    command: &'static str,
    /// Variables of the environment file that are not its business.
    withheld: &'static [&'static str],
}

impl<'a> Process<'a> {
    /// `nebula serve`. It can't do the worker's work, nor an administrator's.
    pub fn edge(place: &'a Place) -> Self {
        let withheld = &["NEBULA_ADMIN_DATABASE_URL", "NEBULA_OPERATOR_KEY", "NEBULA_WORKER_DATABASE_URL", "NEBULA_URL"];
        Self { place, name: "edge", command: "serve", withheld }
    }

    /// `nebula worker`. It can't do the edge's work, nor an administrator's.
    pub fn worker(place: &'a Place) -> Self {
        let withheld =
            &["NEBULA_ADMIN_DATABASE_URL", "NEBULA_OPERATOR_KEY", "NEBULA_DATABASE_URL", "NEBULA_KEYS_DATABASE_URL", "NEBULA_URL"];
        Self { place, name: "worker", command: "worker", withheld }
    }

    /// Whether it runs, of this program and with these settings.
    pub fn is_current(&self, env: &EnvFile, cluster: &Cluster<'_>) -> Result<bool, Error> {
        let fingerprint = self.fingerprint(env, cluster)?;
        let is_same = fs::read_to_string(self.place.fingerprint(self.name)).is_ok_and(|text| text == fingerprint);
        Ok(is_same && self.pid().is_some())
    }

    /// Starts it with the environment file's variables, as far as they are its business, and these.
    pub fn start(&self, env: &EnvFile, variables: &[(&str, &str)]) -> Result<Child, Error> {
        let log = self.place.log(self.name);
        let open = || OpenOptions::new().append(true).create(true).mode(0o600).open(&log).map_err(Error::file(&log));
        let mut command = Command::new(std::env::current_exe()?);
        command.args([self.command, "--detach"]).envs(env.pairs()).envs(variables.iter().copied()).current_dir("/");
        for name in self.withheld {
            command.env_remove(name);
        }
        let child = command.stdin(Stdio::null()).stdout(open()?).stderr(open()?).spawn()?;
        fs::write(self.place.pid(self.name), child.id().to_string()).map_err(Error::file(self.place.pid(self.name)))?;
        Ok(child)
    }

    /// Notes what it was started of and with.
    pub fn remember(&self, env: &EnvFile, cluster: &Cluster<'_>) -> Result<(), Error> {
        let path = self.place.fingerprint(self.name);
        fs::write(&path, self.fingerprint(env, cluster)?).map_err(Error::file(path))
    }

    /// Stops it if it runs, letting it finish what it does.
    pub async fn stop(&self) -> Result<(), Error> {
        let Some(pid) = self.pid() else { return Ok(()) };
        kill_process(pid, Signal::TERM).map_err(std::io::Error::from)?;
        let started = Instant::now();
        while self.pid() == Some(pid) {
            if started.elapsed() > Duration::from_secs(STOP_SECONDS) {
                note(&format!("the {} did not stop by itself and is killed", self.name));
                kill_process(pid, Signal::KILL).map_err(std::io::Error::from)?;
            }
            sleep(Duration::from_millis(50)).await;
        }
        let _ = fs::remove_file(self.place.pid(self.name));
        Ok(())
    }

    /// The process, if the recorded id still belongs to it: ids are reused, and somebody else's process is not ours to signal.
    pub fn pid(&self) -> Option<Pid> {
        let id: i32 = fs::read_to_string(self.place.pid(self.name)).ok()?.trim().parse().ok()?;
        let process = Path::new("/proc").join(id.to_string());
        let arguments = fs::read(process.join("cmdline")).ok()?;
        let mut arguments = arguments.split(|byte| *byte == 0);
        let program = String::from_utf8_lossy(arguments.next()?).into_owned();
        let is_ours =
            Path::new(&program).file_name().is_some_and(|name| name == "nebula") && arguments.next() == Some(self.command.as_bytes());
        // A zombie has an empty command line, so it is not mistaken for a running one.
        is_ours.then(|| Pid::from_raw(id))?
    }

    /// Waits until it answers that it is ready; `is_gone` says that there is nobody left to ask.
    pub async fn wait_until_ready(&self, mut is_ready: impl AsyncFnMut() -> bool, mut is_gone: impl FnMut() -> bool) -> Result<(), Error> {
        let started = Instant::now();
        let mut is_noted = false;
        while !is_ready().await {
            if is_gone() || started.elapsed() > Duration::from_secs(READY_SECONDS) {
                return Err(Error::NotReady { what: self.name, seconds: started.elapsed().as_secs(), log: self.place.log(self.name) });
            }
            if !is_noted && started.elapsed() > Duration::from_secs(1) {
                note(&format!("waiting for the {} to become ready …", self.name));
                is_noted = true;
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// What a running one depends on: this program, the extension's library (old connections keep the old one), and the settings.
    fn fingerprint(&self, env: &EnvFile, cluster: &Cluster<'_>) -> Result<String, Error> {
        let mut hash = Sha256::new();
        for file in [Some(std::env::current_exe()?), cluster.library()].into_iter().flatten() {
            let Ok(metadata) = fs::metadata(&file) else { continue };
            let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
            hash.update(format!("{} {} {}\n", file.display(), metadata.len(), modified.as_nanos()));
        }
        for (name, value) in env.pairs().filter(|(name, _)| !self.withheld.contains(name)) {
            hash.update(format!("{name}={value}\n"));
        }
        Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}
