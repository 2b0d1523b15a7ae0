//! A server process as the system sees it: its memory, and a limit of it.

use postgres::Client;
use std::{
    fs,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

/// A session's process.
#[derive(Clone, Copy, Debug)]
pub struct Backend {
    pub pid: i32,
}

impl Backend {
    #[must_use]
    pub fn of(client: &mut Client) -> Self {
        Self { pid: client.query_one("select pg_backend_pid()", &[]).unwrap().get(0) }
    }

    /// Its own memory: what shared buffers it has touched is not among it, as it is with `Private_Dirty`.
    #[must_use]
    pub fn memory_bytes(self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap_or("0");
        line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024
    }

    /// The most memory that it has while `work` is done, looked at every few milliseconds.
    pub fn peak_bytes(self, work: impl FnOnce()) -> u64 {
        let (peak, is_over) = (AtomicU64::new(self.memory_bytes()), AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    peak.fetch_max(self.memory_bytes(), Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(3));
                }
            });
            work();
            peak.fetch_max(self.memory_bytes(), Ordering::Relaxed);
            is_over.store(true, Ordering::Relaxed);
        });
        peak.into_inner()
    }

    /// How much it has mapped.
    #[must_use]
    pub fn mapped_bytes(self) -> u64 {
        let pages = fs::read_to_string(format!("/proc/{}/statm", self.pid)).unwrap_or_default();
        pages.split_whitespace().next().and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
    }

    /// Lets it map so much more than it has now, as a container's limit would; false where this user may not say so.
    #[must_use]
    pub fn limit_to(self, more_bytes: u64) -> bool {
        let limit = self.mapped_bytes() + more_bytes;
        let arguments = [format!("--pid={}", self.pid), format!("--as={limit}:{limit}")];
        // Root in a container may not, and whose process it is may.
        let as_owner = Command::new("runuser").args(["-u", "postgres", "--", "prlimit"]).args(&arguments).stderr(Stdio::null()).status();
        as_owner.is_ok_and(|status| status.success())
            || Command::new("prlimit").args(&arguments).status().is_ok_and(|status| status.success())
    }

    /// Whether the process is still there.
    #[must_use]
    pub fn is_alive(self) -> bool {
        fs::metadata(format!("/proc/{}", self.pid)).is_ok()
    }
}
