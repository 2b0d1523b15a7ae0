//! `nebula backup dump`: one database in one file, for small installations.

use super::{manifest::Manifest, status::Status};
use crate::{
    command::output::{note, tell},
    config::Config,
    error::Error,
};
use jiff::Timestamp;
use serde::Serialize;
use std::{
    fmt,
    fs::{self, OpenOptions, Permissions},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The file, which must not be there yet. The roles go into FILE.roles.sql.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// The folder of pg_dump, which must be as new as the server [default: wherever the shell finds it].
    #[arg(long, env = "NEBULA_PG_BINDIR", value_name = "DIR")]
    pg_bindir: Option<PathBuf>,
}

/// What was written.
#[derive(Serialize)]
struct Dumped<'a> {
    file: &'a Path,
    roles: &'a Path,
    size_bytes: u64,
}

impl fmt::Display for Dumped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {} MB", self.file.display(), self.size_bytes / 1_000_000)
    }
}

pub async fn run(arguments: &Arguments, config: &Config) -> Result<(), Error> {
    let url = config.require_admin_database_url()?;
    let program = |name: &str| arguments.pg_bindir.as_ref().map_or_else(|| PathBuf::from(name), |folder| folder.join(name));
    let to = &arguments.to;
    let label = to.file_name().unwrap_or_default().to_string_lossy();
    let manifest = Manifest::of_dump(config, &label, |snapshot| {
        let mut dump = Command::new(program("pg_dump"));
        dump.args(["--format=custom", "--no-password", "--dbname", url.reveal(), "--snapshot", snapshot]);
        write(&mut dump, to)
    });
    manifest.await?.save_beside(to)?;
    let roles = roles_of(to);
    let mut dumpall = Command::new(program("pg_dumpall"));
    write(dumpall.args(["--roles-only", "--no-role-passwords", "--no-password", "--dbname", url.reveal()]), &roles)?;
    let size = fs::metadata(to).map_err(Error::file(to))?.len();
    let known = Status::load(config)?;
    if known.is_of_dumps() && config.backup_dir.is_dir() {
        let (kind, finished_at) = (Some("dump".to_owned()), Some(Timestamp::now().to_string()));
        let status =
            Status { kind, label: Some(label.into_owned()), finished_at, size_bytes: Some(size), ok: true, problems: Vec::new(), ..known };
        status.save(config)?;
    }
    tell(&Dumped { file: to, roles: &roles, size_bytes: size })?;
    note(&format!("roles without their passwords are in {}; sealing keys and signing keys are in neither", roles.display()));
    Ok(())
}

/// The roles' file beside a dump.
pub fn roles_of(dump: &Path) -> PathBuf {
    let mut path = dump.as_os_str().to_owned();
    path.push(".roles.sql");
    PathBuf::from(path)
}

/// Runs a program that prints into a new file, for its owner alone. What failed leaves no file that looks like a backup.
fn write(command: &mut Command, path: &Path) -> Result<(), Error> {
    let unfinished = path.with_extension("unfinished");
    let _ = fs::remove_file(&unfinished);
    if path.exists() {
        return Err(Error::Backup(format!("{} is there already: nothing is written over it", path.display())));
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished).map_err(Error::file(&unfinished))?;
    fs::set_permissions(&unfinished, Permissions::from_mode(0o600)).map_err(Error::file(&unfinished))?;
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).stdout(file).stderr(Stdio::piped()).output().map_err(Error::file(&program))?;
    if !output.status.success() {
        let _ = fs::remove_file(&unfinished);
        return Err(Error::Program { program, output: String::from_utf8_lossy(&output.stderr).trim().to_owned() });
    }
    fs::rename(&unfinished, path).map_err(Error::file(path))
}
