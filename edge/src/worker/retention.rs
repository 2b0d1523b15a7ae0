//! What is too old goes: partitions whole, the rest in batches. The database decides what; rows that are to be archived go when their archive was read back.

use super::{
    Context,
    archive::{self, ArchiveError},
};
use crate::{
    db::{DueArchive, Failure, OldMonth, WorkerDatabase},
    error::Error,
    storage::{self, Storage},
};
use serde::Serialize;
use std::{collections::BTreeMap, fmt};
use uuid::Uuid;

/// Tables by month.
const SOURCES: [&str; 4] = ["audit_log", "usage_metrics", "webhook_delivery", "outbox_finished"];
const ROWS_PER_PURGE: i32 = 5_000;

/// What a run did.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    partitions_made: i32,
    /// Rows that came out of default partitions.
    settled_rows: i64,
    archives: u64,
    archived_rows: u64,
    /// By outcome: `dropped`, `rebuilt`.
    partitions: BTreeMap<String, Vec<String>>,
    archives_removed: u64,
    purged: BTreeMap<String, u64>,
    /// What could not be done: nothing is lost by it, and the next run tries again.
    problems: Vec<String>,
}

impl Report {
    /// The problems as an error.
    pub fn into_result(self) -> Result<(), Error> {
        if self.problems.is_empty() { Ok(()) } else { Err(Error::Retention(self.problems.join("; "))) }
    }

    /// What came of a step; `None` where it failed.
    fn tell<T>(&mut self, step: &str, outcome: Result<T, Failure>) -> Option<T> {
        outcome.map_err(|failure| self.problems.push(format!("{step}: {}", failure.reason()))).ok()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "partitions made: {}, rows brought out of default partitions: {}", self.partitions_made, self.settled_rows)?;
        write!(f, "\narchives written: {} with {} rows, removed: {}", self.archives, self.archived_rows, self.archives_removed)?;
        for (outcome, partitions) in &self.partitions {
            write!(f, "\npartitions {outcome}: {}", partitions.join(", "))?;
        }
        for (table, rows) in self.purged.iter().filter(|(_, rows)| **rows > 0) {
            write!(f, "\nrows deleted from {table}: {rows}")?;
        }
        Ok(())
    }
}

/// The periodic task `retention`.
pub async fn run(context: &Context) -> Result<(), Error> {
    let report = retain(&context.database, context.storage.as_ref()).await?;
    for line in report.to_string().lines() {
        tracing::info!("retention: {line}");
    }
    report.into_result()
}

/// The periodic task `partitions`: this month's and those of the next twelve.
pub async fn make_partitions(context: &Context) -> Result<(), Error> {
    let made = context.database.ensure_partitions().await?;
    if made > 0 {
        tracing::info!("partitions made: {made}");
    }
    Ok(())
}

/// Everything once. Does nothing where another run is under way; a step that fails keeps no other from being done.
pub async fn retain(database: &WorkerDatabase, storage: Option<&Storage>) -> Result<Report, Error> {
    let mut report = Report::default();
    if !database.may_deliver().await? {
        report
            .problems
            .push("this database is a copy: it archives and drops nothing until it is adopted (select nebula.adopt_here())".to_owned());
        return Ok(report);
    }
    let Some(_turn) = database.retention_turn().await? else {
        report.problems.push("another run is under way".to_owned());
        return Ok(report);
    };
    for source in SOURCES {
        report.settled_rows += report.tell(&format!("default partition of {source}"), database.settle_default(source).await).unwrap_or(0);
    }
    report.partitions_made = report.tell("making partitions", database.ensure_partitions().await).unwrap_or(0);
    let months = report.tell("plan", database.retention_plan().await).unwrap_or_default();
    let mut letting_go = LettingGo { database, storage, is_storage_down: false, waiting: 0, report: &mut report };
    for month in &months {
        letting_go.of(month).await;
    }
    letting_go.say_what_waits();
    remove_archives(database, storage, &mut report).await;
    purge(database, &mut report).await;
    Ok(report)
}

/// Archiving and dropping, month by month.
struct LettingGo<'a> {
    database: &'a WorkerDatabase,
    storage: Option<&'a Storage>,
    /// It failed once: what else is due waits for the next run.
    is_storage_down: bool,
    /// Archives that wait for a storage.
    waiting: usize,
    report: &'a mut Report,
}

impl LettingGo<'_> {
    async fn of(&mut self, month: &OldMonth) {
        let mut may_go = month.is_droppable;
        let mut keep = Vec::new();
        for due in &month.archived {
            if !self.is_confirmed(month, due).await {
                keep.push(due.tenant);
            }
        }
        for due in &month.archive {
            may_go |= self.archive(month, due).await;
        }
        if may_go {
            self.drop(month, &keep).await;
        }
    }

    /// Whether the archive of an earlier run is still there; if it isn't, it is made again.
    async fn is_confirmed(&mut self, month: &OldMonth, due: &DueArchive) -> bool {
        let Some(storage) = self.storage.filter(|_| !self.is_storage_down) else {
            self.waiting += 1;
            return false;
        };
        match archive::is_there(storage, &due.location).await {
            Ok(true) => true,
            Ok(false) => self.archive(month, due).await,
            Err(error) => {
                self.fail(month, due, &ArchiveError::Storage(error));
                false
            }
        }
    }

    /// Whether there is an archive now.
    async fn archive(&mut self, month: &OldMonth, due: &DueArchive) -> bool {
        let Some(storage) = self.storage.filter(|_| !self.is_storage_down) else {
            self.waiting += 1;
            return false;
        };
        match archive::write(self.database, storage, month, due).await {
            Ok(rows) => {
                self.report.archives += 1;
                self.report.archived_rows += rows;
                true
            }
            Err(error) => {
                self.fail(month, due, &error);
                false
            }
        }
    }

    fn fail(&mut self, month: &OldMonth, due: &DueArchive, error: &ArchiveError) {
        self.is_storage_down |= matches!(error, ArchiveError::Storage(_) | ArchiveError::Upload);
        self.report.problems.push(format!("archive of {} {} of tenant {}: {error}", month.source, month.month, due.tenant));
    }

    async fn drop(&mut self, month: &OldMonth, keep: &[Uuid]) {
        let name = format!("{} {}", month.source, month.month);
        let outcome = self.database.drop_partition(&month.source, &month.month, keep).await;
        let outcome = self.report.tell(&format!("partition {name}"), outcome).flatten();
        if let Some(outcome) = outcome.filter(|outcome| outcome != "kept") {
            self.report.partitions.entry(outcome).or_default().push(name);
        }
    }

    fn say_what_waits(&mut self) {
        if self.waiting > 0 {
            let why = if self.storage.is_some() { "the storage failed" } else { "no storage is configured (NEBULA_STORAGE_URL)" };
            self.report.problems.push(format!("{} archives wait, and their rows stay in the database: {why}", self.waiting));
        }
    }
}

/// Removes archives whose time is over: the objects first, so that none is forgotten while it is there.
async fn remove_archives(database: &WorkerDatabase, storage: Option<&Storage>, report: &mut Report) {
    loop {
        let expired = report.tell("expired archives", database.expired_archives().await).unwrap_or_default();
        if expired.is_empty() {
            return;
        }
        let Some(storage) = storage else {
            report.problems.push("archives are expired, and no storage is configured (NEBULA_STORAGE_URL)".to_owned());
            return;
        };
        for archive in &expired {
            if let Err(error) = archive::remove(storage, &archive.location).await {
                report.problems.push(format!("expired archives: {}", storage::reason(&error)));
                return;
            }
            match report.tell("expired archives", database.forget_archive(archive).await) {
                Some(true) => report.archives_removed += 1,
                // Told already, or somebody gave it more time meanwhile: not asked again in this run.
                None | Some(false) => return,
            }
        }
    }
}

/// A batch of each table at a time, until no table has a whole batch left.
async fn purge(database: &WorkerDatabase, report: &mut Report) {
    while let Some(deleted) = report.tell("expired rows", database.purge(ROWS_PER_PURGE).await) {
        let most = deleted.values().copied().max().unwrap_or(0);
        for (table, rows) in deleted {
            *report.purged.entry(table).or_default() += rows;
        }
        if most < u64::from(ROWS_PER_PURGE.unsigned_abs()) {
            return;
        }
    }
}
