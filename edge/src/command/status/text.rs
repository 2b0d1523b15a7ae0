//! The same for people: a line each.

use super::{
    super::output::{BAD, FAINT, GOOD, STRONG, plain},
    Status,
};
use serde_json::Value;
use std::fmt;

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = [
            ("program", self.program_version.to_owned()),
            ("database", self.database()),
            ("replication", self.replication()),
            ("outbox", self.outbox()),
            ("sessions", self.sessions()),
            ("keys", self.keys()),
            ("backup", self.backup()),
            ("findings", self.findings()),
        ];
        for (name, text) in lines {
            writeln!(f, "{FAINT}{name:<11}{FAINT:#}  {}", plain(&text))?;
        }
        if self.problems.is_empty() {
            return write!(f, "{GOOD}all is well{GOOD:#}");
        }
        self.problems.iter().try_for_each(|problem| writeln!(f, "{BAD}!{BAD:#} {STRONG}{}{STRONG:#}", plain(problem)))
    }
}

impl Status {
    fn database(&self) -> String {
        let database = &self.database;
        let version = |version: &Option<String>| version.clone().unwrap_or_else(|| "unknown".to_owned());
        format!(
            "{} on Postgres {}, extension {}, library {}, schema {} of {}",
            database.name,
            database.server_version,
            version(&database.extension_version),
            version(&database.library_version),
            database.schema_version,
            database.required_version
        )
    }

    fn replication(&self) -> String {
        let mut parts = Vec::new();
        if self.replication.is_standby {
            let delay = self.replication.replay_delay_seconds.map_or_else(|| "unknown".to_owned(), |seconds| format!("{seconds:.0} s"));
            parts.push(format!("a standby, last change {delay} ago"));
        }
        for standby in &self.replication.standbys {
            let lag = standby.lag_bytes.map_or_else(|| "unknown".to_owned(), |bytes| format!("{bytes} bytes"));
            parts.push(format!("{} {} {}, {lag} behind", standby.name, standby.state, standby.sync_state));
        }
        for slot in &self.replication.slots {
            let kept = slot.retained_bytes.map_or_else(|| "unknown".to_owned(), |bytes| format!("{bytes} bytes"));
            parts.push(format!("slot {} {}, {kept} kept", slot.name, if slot.is_active { "active" } else { "inactive" }));
        }
        if parts.is_empty() { "no standby, no slot".to_owned() } else { parts.join("; ") }
    }

    fn outbox(&self) -> String {
        let Some(outbox) = &self.outbox else { return "unknown: this login may not read it".to_owned() };
        let oldest = if outbox.due > 0 { format!(", the oldest for {:.0} s", outbox.oldest_due_seconds) } else { String::new() };
        format!("{} due{oldest}; {} pending, {} running", outbox.due, outbox.pending, outbox.running)
    }

    fn sessions(&self) -> String {
        let of = |name: &str| self.sessions.get(name).copied().unwrap_or(0);
        format!("{} of edges, {} of workers", of("nebula-edge"), of("nebula-worker"))
    }

    fn keys(&self) -> String {
        let here = if self.keys.can_sign_here { "one of them here" } else { "none of them here" };
        let sealing = self.keys.sealing.map_or_else(|| "none seals here".to_owned(), |version| format!("sealing-{version} seals here"));
        format!("{} sign, {here}; {sealing}", self.keys.signing_active)
    }

    fn backup(&self) -> String {
        let Some(backup) = &self.backup else { return "unknown: nothing of it on this machine".to_owned() };
        let text = |member: &str| backup.get(member).and_then(Value::as_str).unwrap_or("never");
        let kind = backup.get("kind").and_then(Value::as_str).unwrap_or("none");
        format!("{kind}, finished {}, verified {}", text("finished_at"), text("verified_at"))
    }

    fn findings(&self) -> String {
        match &self.findings {
            Some(findings) => format!("{} errors, {} warnings, {} notes", findings.errors, findings.warnings, findings.notes),
            None => "not asked for".to_owned(),
        }
    }
}
