//! The edge in the background: started when it is not running, restarted when program or settings changed.

use super::{super::output::note, cluster::Cluster, env_file::EnvFile, place::Place, port};
use crate::error::Error;
use rustix::process::{Pid, Signal, kill_process};
use sha2::{Digest, Sha256};
use std::{
    fs::{self, OpenOptions},
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant, UNIX_EPOCH},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

const PREFERRED_PORT: u16 = 8080;
const READY_SECONDS: u64 = 30;
/// Longer than the drain of `serve` by default.
const STOP_SECONDS: u64 = 25;

/// The edge that `up` started at a place.
pub struct EdgeProcess<'a>(&'a Place);

impl<'a> EdgeProcess<'a> {
    pub fn of(place: &'a Place) -> Self {
        Self(place)
    }

    /// Makes sure that the edge of this program and these settings runs and is ready; its URL.
    pub async fn ensure_running(&self, env: &EnvFile, cluster: &Cluster<'_>) -> Result<String, Error> {
        let known_port = env.get("NEBULA_URL").and_then(|url| url.rsplit(':').next()?.parse().ok());
        let fingerprint = fingerprint(env, cluster)?;
        let is_same = fs::read_to_string(self.0.edge_fingerprint()).is_ok_and(|text| text == fingerprint);
        if let (Some(port), true, Some(_)) = (known_port, is_same, self.pid()) {
            self.wait_until_ready(port, || self.pid().is_none()).await?;
            return Ok(url(port));
        }
        self.stop().await?;
        let wanted: Vec<u16> = known_port.into_iter().chain([PREFERRED_PORT]).collect();
        let port = port::free(&wanted)?;
        let mut child = self.start(port, env)?;
        // Asked of the child itself: for a moment after it was started its command line in /proc is empty.
        self.wait_until_ready(port, || !matches!(child.try_wait(), Ok(None))).await?;
        fs::write(self.0.edge_fingerprint(), fingerprint).map_err(Error::file(self.0.edge_fingerprint()))?;
        Ok(url(port))
    }

    /// Stops the edge if it runs, letting its requests finish; whether it ran.
    pub async fn stop(&self) -> Result<bool, Error> {
        let Some(pid) = self.pid() else { return Ok(false) };
        kill_process(pid, Signal::TERM).map_err(std::io::Error::from)?;
        let started = Instant::now();
        while self.pid() == Some(pid) {
            if started.elapsed() > Duration::from_secs(STOP_SECONDS) {
                note("the edge did not stop by itself and is killed");
                kill_process(pid, Signal::KILL).map_err(std::io::Error::from)?;
            }
            sleep(Duration::from_millis(50)).await;
        }
        let _ = fs::remove_file(self.0.edge_pid());
        Ok(true)
    }

    fn start(&self, port: u16, env: &EnvFile) -> Result<Child, Error> {
        let log = self.0.edge_log();
        let open = || OpenOptions::new().append(true).create(true).mode(0o600).open(&log).map_err(Error::file(&log));
        let mut command = Command::new(std::env::current_exe()?);
        // The variables of the environment file, without what only an administrator needs.
        command.args(["serve", "--detach"]).envs(env.pairs()).env_remove("NEBULA_ADMIN_DATABASE_URL").env_remove("NEBULA_OPERATOR_KEY");
        // No pooler stands between this edge and its own Postgres.
        command.env("NEBULA_PREPARED_STATEMENTS", "true");
        command.env("NEBULA_LISTEN", address(port).to_string()).current_dir("/");
        let child = command.stdin(Stdio::null()).stdout(open()?).stderr(open()?).spawn()?;
        fs::write(self.0.edge_pid(), child.id().to_string()).map_err(Error::file(self.0.edge_pid()))?;
        Ok(child)
    }

    /// The process, if the recorded id still belongs to an edge: ids are reused, and somebody else's process is not ours to signal.
    fn pid(&self) -> Option<Pid> {
        let id: i32 = fs::read_to_string(self.0.edge_pid()).ok()?.trim().parse().ok()?;
        let process = Path::new("/proc").join(id.to_string());
        let arguments = fs::read(process.join("cmdline")).ok()?;
        let mut arguments = arguments.split(|byte| *byte == 0);
        let program = String::from_utf8_lossy(arguments.next()?).into_owned();
        let is_edge = Path::new(&program).file_name().is_some_and(|name| name == "nebula") && arguments.next() == Some(b"serve");
        // A zombie has an empty command line, so it is not mistaken for a running edge.
        is_edge.then(|| Pid::from_raw(id))?
    }

    async fn wait_until_ready(&self, port: u16, mut is_gone: impl FnMut() -> bool) -> Result<(), Error> {
        let started = Instant::now();
        let mut is_noted = false;
        while !is_ready(port).await {
            if is_gone() || started.elapsed() > Duration::from_secs(READY_SECONDS) {
                return Err(Error::NotReady {
                    what: "the edge to become ready",
                    seconds: started.elapsed().as_secs(),
                    log: self.0.edge_log(),
                });
            }
            if !is_noted && started.elapsed() > Duration::from_secs(1) {
                note("waiting for the edge to become ready …");
                is_noted = true;
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

/// What a running edge depends on: this program, the extension's library (old connections keep the old one), and the settings.
fn fingerprint(env: &EnvFile, cluster: &Cluster<'_>) -> Result<String, Error> {
    let mut hash = Sha256::new();
    for file in [Some(std::env::current_exe()?), cluster.library()].into_iter().flatten() {
        let Ok(metadata) = fs::metadata(&file) else { continue };
        let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        hash.update(format!("{} {} {}\n", file.display(), metadata.len(), modified.as_nanos()));
    }
    for (name, value) in env.pairs().filter(|(name, _)| *name != "NEBULA_URL") {
        hash.update(format!("{name}={value}\n"));
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Asks `/health/ready`; anything but 200 in time is a no.
async fn is_ready(port: u16) -> bool {
    let asking = async {
        let mut stream = TcpStream::connect(address(port)).await?;
        stream.write_all(b"GET /health/ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(answer.starts_with(b"HTTP/1.1 200 "))
    };
    matches!(timeout(Duration::from_secs(5), asking).await, Ok(Ok(true)))
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}
