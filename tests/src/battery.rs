//! What every battery shares: it counts its cases, gathers what went wrong instead of stopping at the first, and looks at the end whether the server still stands as
//! it did: the same postmaster, no process ended by a signal, nobody idle in a transaction, no advisory lock left, no canary in a log.

use crate::{Database, eventually};

/// Whether the long versions run (`make test-batteries`).
#[must_use]
pub fn is_full() -> bool {
    std::env::var("NEBULA_BATTERIES").is_ok_and(|size| size == "full")
}

/// The one number, or the other where the long versions run.
#[must_use]
pub fn scaled(short: usize, full: usize) -> usize {
    if is_full() { full } else { short }
}

/// A battery that is being fired.
pub struct Battery<'a> {
    name: &'static str,
    database: &'a Database,
    postmaster: String,
    log_start: usize,
    cases: usize,
    breaches: Vec<String>,
    canaries: Vec<String>,
}

impl<'a> Battery<'a> {
    #[must_use]
    pub fn begin(name: &'static str, database: &'a Database) -> Self {
        let postmaster = database.text("select pg_postmaster_start_time()::text", &[]);
        let log_start = database.installation.cluster.log().len();
        Self { name, database, postmaster, log_start, cases: 0, breaches: Vec::new(), canaries: Vec::new() }
    }

    /// One case, and whether the product held.
    pub fn case(&mut self, holds: bool, what: impl FnOnce() -> String) {
        self.cases += 1;
        if !holds {
            self.breaches.push(what());
        }
    }

    /// A text that may stand in no log by the end.
    pub fn canary(&mut self, text: &str) {
        self.canaries.push(text.to_owned());
    }

    /// How many cases there were so far.
    #[must_use]
    pub fn cases(&self) -> usize {
        self.cases
    }

    /// Says how it went, and fails where the product, or the server under it, did not hold. Fewer cases than `least` mean that the generator is broken.
    #[track_caller]
    #[allow(clippy::print_stdout, reason = "what was counted is the result")]
    pub fn end(mut self, least: usize, logs: &[(&str, String)]) {
        self.server_stands(logs);
        println!("{}: {} cases, {} breaches", self.name, self.cases, self.breaches.len());
        assert!(
            self.breaches.is_empty(),
            "{}: {} of {} cases:\n{}",
            self.name,
            self.breaches.len(),
            self.cases,
            self.breaches.iter().take(40).cloned().collect::<Vec<_>>().join("\n")
        );
        assert!(self.cases >= least, "{}: {} cases where {least} are expected", self.name, self.cases);
    }

    fn server_stands(&mut self, logs: &[(&str, String)]) {
        let now = self.database.text("select pg_postmaster_start_time()::text", &[]);
        if now != self.postmaster {
            self.breaches.push(format!("the server was started at {now}, and before at {}", self.postmaster));
        }
        let log = self.database.installation.cluster.log();
        let since = log.get(self.log_start..).unwrap_or(&log);
        for sign in ["terminated by signal", "PANIC:", "was terminated by exception", "stuck spinlock"] {
            if let Some(line) = since.lines().find(|line| line.contains(sign)) {
                self.breaches.push(format!("the server's log: {line}"));
            }
        }
        for canary in &self.canaries {
            for (which, text) in logs.iter().map(|(which, text)| (*which, text.as_str())).chain([("the server's", since)]) {
                if let Some(line) = text.lines().find(|line| line.contains(canary.as_str())) {
                    let shown = line.chars().take(300).collect::<String>();
                    self.breaches.push(format!("{which} log has the canary {canary}: {shown}"));
                }
            }
        }
        let name = &self.database.name;
        eventually("nobody is idle in a transaction", || {
            self.database.number("select count(*) from pg_stat_activity where datname = $1 and state like 'idle in transaction%'", &[name])
                == 0
        });
        eventually("no advisory lock is left", || {
            let sql =
                "select count(*) from pg_locks l join pg_database d on d.oid = l.database where l.locktype = 'advisory' and d.datname = $1";
            self.database.number(sql, &[name]) == 0
        });
    }
}
