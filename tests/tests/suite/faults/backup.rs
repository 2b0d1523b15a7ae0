//! Backups: threat, a backup that nobody can restore, one that restores something else, and a mistake that nobody can go back before.

use nebula_tests::{
    Authority, Caller, Edge, ObjectStorage, TlsProxy,
    cluster::{Cluster, Installation, TEMPLATE, install, nebula_program, postgres_program, postgres_programs},
    eventually, onboard,
};
use postgres::Client;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// An installation with a repository beside it.
struct Vault {
    installation: Installation,
}

impl Vault {
    fn new() -> Self {
        let installation = install(Cluster::start(""));
        let vault = Self { installation };
        vault.superuser("postgres").batch_execute(&format!("alter database {TEMPLATE} with allow_connections true")).unwrap();
        vault
    }

    /// The same, archiving.
    fn archiving() -> Self {
        let vault = Self::new();
        vault.succeeds(&["backup", "init"]);
        vault.installation.cluster.stop("fast");
        vault.installation.cluster.start_again();
        vault
    }

    fn dir(&self) -> PathBuf {
        self.installation.cluster.dir.join("backup")
    }

    fn superuser(&self, database: &str) -> Client {
        self.installation.cluster.connect("postgres", database)
    }

    fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
        let repository = format!("file://{}", self.installation.cluster.dir.join("repository").display());
        Command::new(nebula_program())
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("NEBULA_ADMIN_DATABASE_URL", self.installation.cluster.url("postgres", TEMPLATE))
            .env("NEBULA_KEYS_DIR", &self.installation.keys_dir)
            .env("NEBULA_BACKUP_DIR", self.dir())
            .env("NEBULA_BACKUP_REPOSITORY", repository)
            .envs(variables.iter().copied())
            .output()
            .unwrap()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, &[])
    }

    #[track_caller]
    fn succeeds(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{arguments:?}: {said}{complained}");
        said.into_owned()
    }

    /// What it complains of.
    #[track_caller]
    fn fails(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(!output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    fn status(&self) -> Value {
        serde_json::from_str(&fs::read_to_string(self.dir().join("backup-status.json")).unwrap()).unwrap()
    }
}

/// A digest of every table that survives a crash.
fn digests(client: &mut Client) -> BTreeMap<String, String> {
    let sql = "select c.oid::regclass::text from pg_class c where c.relnamespace = 'nebula'::regnamespace and c.relkind = 'r' and c.relpersistence = 'p'";
    let tables = client.query(sql, &[]).unwrap();
    let digest = |row: &postgres::Row| {
        let table: String = row.get(0);
        let sql = format!("select coalesce(md5(string_agg(t::text, e'\\n' order by t::text collate \"C\")), '') from only {table} t");
        let digest = client.query_one(&sql, &[]).unwrap().get(0);
        (table, digest)
    };
    tables.iter().map(digest).collect()
}

/// Starts a restored cluster on a port and in a socket folder of its own.
fn run_restored(vault: &Vault, data: &Path) -> Cluster {
    let cluster = vault.installation.cluster.run_beside(data);
    eventually("it has replayed what was archived", || {
        !cluster.connect("postgres", "postgres").query_one("select pg_is_in_recovery()", &[]).unwrap().get::<_, bool>(0)
    });
    cluster
}

#[test]
fn a_mistake_is_gone_back_before_and_everything_is_as_it_was() {
    let vault = Vault::archiving();
    let edge = Edge::start(&vault.installation, &vault.installation.cluster.url("nebula_edge", TEMPLATE), &[]);
    let acme = onboard(&edge, "acme");
    acme.person("before");
    vault.succeeds(&["backup", "check"]);
    vault.succeeds(&["backup", "run", "--kind", "full"]);
    // Only in the WAL.
    acme.person("after");
    drop(edge);
    let mut superuser = vault.superuser(TEMPLATE);
    // They write what they gathered when they end.
    eventually("the edge's backends are gone", || {
        let sql = "select count(*) from pg_stat_activity where usename = 'nebula_edge'";
        superuser.query_one(sql, &[]).unwrap().get::<_, i64>(0) == 0
    });
    let before = digests(&mut superuser);
    let at: String = superuser
        .query_one("select to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')", &[])
        .unwrap()
        .get(0);
    superuser
        .batch_execute(
            "select pg_sleep(1); set session_replication_role = replica; delete from nebula.\"user\" where email like '%@acme.example'",
        )
        .unwrap();
    assert_ne!(digests(&mut superuser), before);
    superuser.batch_execute("select pg_switch_wal()").unwrap();
    vault.succeeds(&["backup", "check"]);

    let to = vault.installation.cluster.dir.join("restored");
    vault.succeeds(&["restore", "--to", to.to_str().unwrap(), "--at", &at]);
    let restored = run_restored(&vault, &to);
    let mut client = restored.connect("postgres", TEMPLATE);
    assert_eq!(digests(&mut client), before);
    let people: i64 = client.query_one("select count(*) from nebula.\"user\" where email ~ '^(before|after)@acme'", &[]).unwrap().get(0);
    assert_eq!(people, 2);
    let errors = client.query("select rule, object from nebula.doctor() where severity = 'error'", &[]).unwrap();
    assert!(errors.is_empty(), "{errors:?}");
    // It is a copy: it sends nothing, and writes into nobody's archive.
    assert!(!client.query_one("select nebula.may_deliver()", &[]).unwrap().get::<_, bool>(0));
    assert_eq!(client.query_one("show archive_mode", &[]).unwrap().get::<_, String>(0), "off");
    // It takes writes.
    client.batch_execute("create table public.takes_writes ()").unwrap();

    // The newest there is: with the mistake.
    let newest = vault.installation.cluster.dir.join("newest");
    vault.succeeds(&["restore", "--to", newest.to_str().unwrap()]);
    let newest = run_restored(&vault, &newest);
    let people = newest.connect("postgres", TEMPLATE).query("select from nebula.\"user\" where email like '%@acme.example'", &[]).unwrap();
    assert!(people.is_empty());

    assert!(vault.fails(&["restore", "--to", to.to_str().unwrap()]).contains("writes over nothing"));
    let data = vault.installation.cluster.dir.join("data");
    assert!(vault.fails(&["restore", "--to", data.to_str().unwrap()]).contains("writes over nothing"));
    assert!(
        vault
            .fails(&["restore", "--to", vault.dir().join("x").to_str().unwrap(), "--at", "2001-01-01T00:00:00Z"])
            .contains("pgbackrest failed")
    );
}

/// A full backup and one of what came after it, of a tenant of the strictest profile.
fn backed_up() -> Vault {
    let vault = Vault::archiving();
    let edge = Edge::start(&vault.installation, &vault.installation.cluster.url("nebula_edge", TEMPLATE), &[]);
    let acme = onboard(&edge, "acme");
    let request = edge.operator().request("PUT", "/v1/config").header("X-Tenant-Id", acme.id.to_string());
    request.json(&json!({ "flags": {}, "limits": {}, "profile": "enterprise" })).send().data(200);
    vault.succeeds(&["backup", "run", "--kind", "full"]);
    acme.person("after");
    vault.succeeds(&["backup", "run"]);
    // Written after the point: not in what is compared.
    acme.person("later");
    vault
}

#[test]
fn a_backup_is_restored_compared_and_measured_against_what_is_asked() {
    let vault = backed_up();
    let listed: Value = serde_json::from_str(&vault.succeeds(&["backup", "list", "--json"])).unwrap();
    let kinds = listed["backups"].as_array().unwrap().iter().map(|backup| backup["kind"].as_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(kinds, ["full", "incr"]);
    assert!(listed["backups"][0]["size_bytes"].as_u64().unwrap() > 1_000_000);

    let output = vault.run_with(&["backup", "verify"], &[("NEBULA_BACKUP_RTO_SECONDS", "1")]);
    assert_eq!(output.status.code(), Some(3), "it is good, and slower than is asked: {}", String::from_utf8_lossy(&output.stdout));
    let status = vault.status();
    assert_eq!((&status["kind"], &status["ok"], &status["problems"]), (&json!("incr"), &json!(true), &json!([])));
    assert_eq!(
        (status["asked_rpo_seconds"].as_u64(), status["asked_rto_seconds"].as_u64()),
        (Some(3_600), Some(1)),
        "of profile and setting"
    );
    assert!(status["rpo_seconds"].as_u64().unwrap() <= 70 && status["rto_seconds"].as_u64().unwrap() <= 60, "{status}");
    assert!(status["tables_compared"].as_u64().unwrap() > 40 && status["verified_at"].is_string(), "{status}");
    let _ = writeln!(std::io::stderr(), "backup: restored in {} s, data loss {} s", status["rto_seconds"], status["rpo_seconds"]);
    let entries = fs::read_dir(vault.dir()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(entries.filter(|name| name.starts_with("scratch")).count(), 0);
}

#[test]
#[ignore = "a minute: `make test-backup`"]
fn a_backup_that_is_damaged_or_not_what_was_noted_is_told() {
    let vault = backed_up();
    vault.succeeds(&["backup", "verify"]);
    let manifest = fs::read_dir(vault.dir().join("manifests")).unwrap().map(|entry| entry.unwrap().path()).max().unwrap();
    let mut noted: Value = serde_json::from_str(&fs::read_to_string(&manifest).unwrap()).unwrap();
    noted["tables"]["nebula.\"user\""]["rows"] = json!(1_000);
    noted["tables"]["nebula.tenant"]["hash"] = json!("1");
    fs::write(&manifest, noted.to_string()).unwrap();
    let output = vault.run(&["backup", "verify"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("instead of 1000") && said.contains("nebula.tenant has other rows, as many"), "{said}");
    assert_eq!(vault.status()["ok"], false);

    // A file of the repository is damaged.
    let repository = vault.installation.cluster.dir.join("repository/backup/nebula");
    let bundle = biggest_file(&repository);
    let mut bytes = fs::read(&bundle).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4096].fill(0x5a);
    fs::write(&bundle, bytes).unwrap();
    let output = vault.run(&["backup", "verify"]);
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(vault.status()["problems"][0].as_str().unwrap().contains("pgbackrest"), "{}", vault.status());
}

fn biggest_file(folder: &Path) -> PathBuf {
    let mut files = vec![folder.to_owned()];
    let mut biggest = (0, PathBuf::new());
    while let Some(path) = files.pop() {
        let metadata = path.symlink_metadata().unwrap();
        if metadata.is_dir() {
            files.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if metadata.is_file() && metadata.len() > biggest.0 {
            biggest = (metadata.len(), path);
        }
    }
    biggest.1
}

#[test]
fn what_cannot_be_backed_up_is_told_before_anything_is_done() {
    let vault = Vault::new();
    assert!(vault.fails(&["backup", "run"]).contains("nebula backup init"));
    assert!(vault.fails(&["backup", "check"]).contains("nebula backup init"));
    let refused = |variables: &[(&str, &str)]| {
        let output = vault.run_with(&["backup", "init"], variables);
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(refused(&[("NEBULA_BACKUP_DIR", "relative")]).contains("absolute"));
    assert!(refused(&[("NEBULA_BACKUP_DIR", "/tmp/a b")]).contains("absolute"));
    assert!(refused(&[("NEBULA_BACKUP_STANZA", "x; rm -rf /")]).contains("backup_stanza"));
    assert!(refused(&[("NEBULA_BACKUP_REPOSITORY", "ftp://hunter22@x/y")]).contains("file:///folder"));
    assert!(!refused(&[("NEBULA_BACKUP_REPOSITORY", "ftp://hunter22@x/y")]).contains("hunter22"));
    let http = [("NEBULA_BACKUP_REPOSITORY", "s3://bucket/x"), ("AWS_ENDPOINT_URL", "http://127.0.0.1:1")];
    assert!(refused(&http).contains("https alone"));
    // Somebody else's archive is not taken away.
    for setting in ["archive_mode = on", "archive_command = '/bin/true'"] {
        vault.superuser("postgres").batch_execute(&format!("alter system set {setting}")).unwrap();
    }
    vault.installation.cluster.stop("fast");
    vault.installation.cluster.start_again();
    assert!(refused(&[]).contains("archive_command = /bin/true"));
    let kept: String = vault.superuser("postgres").query_one("show archive_command", &[]).unwrap().get(0);
    assert_eq!(kept, "/bin/true");
}

#[test]
fn a_dump_comes_back_and_nothing_is_written_over() {
    let vault = Vault::new();
    let file = vault.installation.cluster.dir.join("small.dump");
    let programs = postgres_programs().display().to_string();
    let dump = ["backup", "dump", "--to", file.to_str().unwrap(), "--pg-bindir", &programs];
    vault.succeeds(&dump);
    assert!(vault.fails(&dump).contains("nothing is written over it"));
    let roles = fs::read_to_string(format!("{}.roles.sql", file.display())).unwrap();
    assert!(roles.contains("CREATE ROLE nebula_edge") && !roles.contains("SCRAM"));
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o077, 0);
    let mut superuser = vault.superuser("postgres");
    superuser.batch_execute("create database again template template0").unwrap();
    let output = Command::new(postgres_program("pg_restore"))
        .env_clear()
        .args(["--exit-on-error", "-d", &vault.installation.cluster.url("postgres", "again")])
        .arg(&file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(digests(&mut vault.superuser("again")), digests(&mut vault.superuser(TEMPLATE)));
    // It is tried in a cluster of its own.
    let verify = ["backup", "verify", "--dump", file.to_str().unwrap(), "--pg-bindir", &programs];
    vault.succeeds(&verify);
    let status = vault.status();
    assert_eq!((&status["ok"], status["tables_compared"].as_u64() > Some(40)), (&json!(true), true), "{status}");
    let note = format!("{}.json", file.display());
    let noted = fs::read_to_string(&note).unwrap();
    fs::write(&note, noted.replacen("\"rows\": 1,", "\"rows\": 2,", 1)).unwrap();
    let output = vault.run(&verify);
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(vault.status()["problems"][0].as_str().unwrap().contains("instead of 2"), "{}", vault.status());
    // What fails leaves nothing that looks like a backup.
    let other = vault.installation.cluster.dir.join("other.dump");
    let failed = vault.run(&["backup", "dump", "--to", other.to_str().unwrap(), "--pg-bindir", "/nonexistent"]);
    assert!(!failed.status.success() && !other.exists());
}

#[test]
#[ignore = "needs node and moto: `make test-backup`"]
fn an_encrypted_backup_in_object_storage_is_restored_from_there() {
    let vault = Vault::new();
    let dir = &vault.installation.cluster.dir;
    let authority = Authority::new(dir, "storage");
    let certificate = authority.sign("s3", "/CN=storage", "DNS:localhost");
    let storage = ObjectStorage::start(&vault.installation);
    let proxy = TlsProxy::start(&certificate, storage.url.rsplit(':').next().unwrap().parse().unwrap());
    let endpoint = format!("https://localhost:{}", proxy.port);
    let cipher = dir.join("passphrase");
    fs::write(&cipher, "correct horse battery staple\n").unwrap();
    let (repository, authority) = (format!("s3://{}/backups", ObjectStorage::BUCKET), authority.file());
    let variables = [
        ("NEBULA_BACKUP_REPOSITORY", repository.as_str()),
        ("NEBULA_BACKUP_CIPHER_FILE", cipher.to_str().unwrap()),
        ("AWS_ENDPOINT_URL", &endpoint),
        ("AWS_CA_BUNDLE", &authority),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "canary-access-key"),
        ("AWS_SECRET_ACCESS_KEY", "canary-secret-key"),
    ];
    let succeeds = |arguments: &[&str]| {
        let output = vault.run_with(arguments, &variables);
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{arguments:?}: {said}");
        assert!(!said.contains("canary-secret-key") && !said.contains("battery staple"), "{said}");
    };
    succeeds(&["backup", "init"]);
    let configuration = vault.dir().join("pgbackrest.conf");
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&configuration).unwrap().permissions());
    assert_eq!(mode & 0o077, 0, "it holds the credentials");
    vault.installation.cluster.stop("fast");
    vault.installation.cluster.start_again();
    succeeds(&["backup", "run", "--kind", "full"]);
    succeeds(&["backup", "verify"]);
}
