//! Old months with rows in them, `nebula retention`, and the folder that it archives to.

use crate::{
    Database,
    cluster::{nebula_program, postgres_program},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};
use uuid::Uuid;

/// A database that may deliver, and a folder for archives beside it.
pub struct Retention {
    pub database: Database,
    pub storage: PathBuf,
}

/// How a run ended.
#[derive(Debug)]
pub struct Run {
    pub is_success: bool,
    pub report: String,
    pub problem: String,
}

impl Run {
    /// It did all that was to be done; the report.
    #[track_caller]
    pub fn done(self) -> String {
        assert!(self.is_success, "{self:?}");
        self.report
    }

    /// It could not do everything; why.
    #[track_caller]
    pub fn failed(self) -> String {
        assert!(!self.is_success, "{self:?}");
        self.problem
    }
}

impl Retention {
    #[must_use]
    #[allow(clippy::new_without_default, reason = "it costs a database")]
    pub fn new() -> Self {
        let database = Database::new();
        database.execute("select nebula.adopt_here()");
        let storage = database.installation.cluster.dir.join(format!("storage-{}", database.name));
        Self { database, storage }
    }

    /// The month so many months ago, `YYYY-MM`.
    #[must_use]
    pub fn month(&self, months_ago: i32) -> String {
        let sql = "select to_char(date_trunc('month', now() at time zone 'utc') - make_interval(months => $1), 'YYYY-MM')";
        self.database.text(sql, &[&months_ago])
    }

    /// Makes a month's partition as it was made when the month was ahead; its name.
    pub fn plant(&self, source: &str, months_ago: i32) -> String {
        let month = self.month(months_ago);
        let partition = format!("{source}_{}", month.replace('-', "_"));
        self.database.execute(&format!(
            "set role nebula_owner; \
             create table nebula.{partition} partition of nebula.{source} for values from ('{month}-01 00:00:00+00') \
               to ('{to}-01 00:00:00+00'); \
             comment on table nebula.{partition} is 'Rows of {source} of {month} (UTC).'; \
             select nebula.govern_partition('nebula.{partition}')",
            to = self.month(months_ago - 1),
        ));
        partition
    }

    /// Says what profile a tenant has.
    pub fn set_profile(&self, tenant: Uuid, profile: &str) {
        let sql = "insert into nebula.tenant_config (tenant_id, profile) values ($1, $2) on conflict (tenant_id) do update set profile = excluded.profile";
        self.database.superuser().execute(sql, &[&tenant, &profile]).unwrap();
    }

    /// Writes so many audit rows of a tenant into a month, some in the same instant.
    pub fn write_audit(&self, tenant: Uuid, months_ago: i32, rows: i32) {
        let sql = "insert into nebula.audit_log (tenant_id, actor_type, action, entity_type, metadata, ip, user_agent, created_at) \
                   select $1, 'system', 'old.thing', 'x', jsonb_build_object('number', n, 'text', e'ç \"日本\" \\\\ \\n'), '203.0.113.77', 'canary-agent', \
                     ($2 || '-01 00:00:00+00')::timestamptz + make_interval(secs => (n / 2) * 7.000001) \
                   from generate_series(1, $3) n";
        self.database.superuser().execute(sql, &[&tenant, &self.month(months_ago), &rows]).unwrap();
    }

    /// How many rows of a tenant a month has.
    #[must_use]
    pub fn audit_rows(&self, tenant: Uuid, months_ago: i32) -> i64 {
        let sql = "select count(*) from nebula.audit_log where tenant_id = $1 and to_char(created_at at time zone 'utc', 'YYYY-MM') = $2";
        self.database.number(sql, &[&tenant, &self.month(months_ago)])
    }

    /// A tenant's rows of a table, every column.
    #[must_use]
    pub fn rows(&self, table: &str, tenant: Uuid) -> Vec<String> {
        self.database.texts(&format!("select r::text from nebula.{table} r where tenant_id = $1 order by 1"), &[&tenant])
    }

    fn command(&self, storage: Option<&Path>) -> Command {
        let mut command = Command::new(nebula_program());
        command.arg("retention").env_clear().env("NEBULA_WORKER_DATABASE_URL", self.database.url("nebula_worker")).current_dir("/");
        if let Some(storage) = storage {
            command.env("NEBULA_STORAGE_URL", format!("file://{}", storage.display()));
        }
        command
    }

    /// `nebula retention` with the folder.
    #[track_caller]
    pub fn run(&self) -> Run {
        Self::finish(&mut self.command(Some(&self.storage)))
    }

    /// The same without a storage.
    #[track_caller]
    pub fn run_without_storage(&self) -> Run {
        Self::finish(&mut self.command(None))
    }

    /// The same with a storage of another kind.
    #[track_caller]
    pub fn run_with(&self, settings: &[(&str, &str)]) -> Run {
        Self::finish(self.command(None).envs(settings.iter().copied()))
    }

    /// Begins a run; the process.
    #[must_use]
    pub fn start(&self) -> Child {
        self.command(Some(&self.storage)).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    #[track_caller]
    fn finish(command: &mut Command) -> Run {
        let output = command.stdin(Stdio::null()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Run { is_success: output.status.success(), report: text(&output.stdout), problem: text(&output.stderr) }
    }

    /// The folder of an archive.
    #[must_use]
    pub fn archive(&self, tenant: Uuid, months_ago: i32) -> PathBuf {
        self.storage.join(format!("archives/{tenant}/audit_log/{}", self.month(months_ago)))
    }

    /// The lines of an archive, unpacked by gzip itself.
    #[track_caller]
    #[must_use]
    pub fn archived(&self, tenant: Uuid, months_ago: i32) -> Vec<Value> {
        let output = Command::new("gzip").arg("-dc").arg(self.archive(tenant, months_ago).join("rows.ndjson.gz")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Every file of the storage with its content.
    #[must_use]
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let (mut files, mut folders) = (BTreeMap::new(), vec![self.storage.clone()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files.insert(path.strip_prefix(&self.storage).unwrap().to_owned(), fs::read(&path).unwrap());
                }
            }
        }
        files
    }

    /// The partitions of a table, but for those of this month and later.
    #[must_use]
    pub fn old_partitions(&self, source: &str) -> Vec<String> {
        let sql = "select c.relname::text from pg_inherits i join pg_class c on c.oid = i.inhrelid \
                   where i.inhparent = ('nebula.' || $1)::regclass and right(c.relname, 7) < replace($2, '-', '_') order by 1";
        self.database.texts(sql, &[&source, &self.month(0)])
    }

    /// Whatever makes a partition what it is, a line a thing, without its own name.
    #[must_use]
    pub fn description(&self, partition: &str) -> Vec<String> {
        let output = Command::new(postgres_program("pg_dump"))
            .env_clear()
            .args(["--schema-only", "-t", &format!("nebula.{partition}"), &self.database.url("postgres")])
            .current_dir("/")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap().replace(partition, "THIS").replace(&partition.replace('_', "-"), "THIS");
        // The bounds and the comment name the month; the key that restricts a dump is made anew each time.
        let is_shape = |line: &&str| !line.contains("FOR VALUES FROM") && !line.starts_with("COMMENT") && !line.starts_with('\\');
        let mut lines = text.lines().filter(is_shape).map(str::to_owned).collect::<Vec<_>>();
        let comment = "select regexp_replace(obj_description(('nebula.' || $1)::regclass, 'pg_class'), '[0-9]{4}-[0-9]{2}', 'MONTH')";
        lines.push(self.database.text(comment, &[&partition]));
        lines.sort();
        lines
    }
}

impl Drop for Retention {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.storage);
    }
}
