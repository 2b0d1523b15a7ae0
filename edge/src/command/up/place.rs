//! Where `up` keeps things. The database's own folder moves away when its user can't get into the project's.

use crate::command::os_user::OsUser;
use crate::error::Error;
use sha2::{Digest, Sha256};
use std::{
    fs::{self, DirBuilder, Permissions},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Stdio,
};
use url::Url;

/// A socket's path has at most 107 bytes (sockaddr_un), of which `/.s.PGSQL.65535` takes 15.
const MAX_SOCKET_DIR_BYTES: usize = 107 - 15;

/// The folder of `up`, absolute, and what follows from it.
pub struct Place {
    dir: PathBuf,
    /// Holds the data folder and the server's log; `dir` itself, or a folder that the database's user can reach.
    postgres_home: PathBuf,
    /// Who runs Postgres.
    pub user: OsUser,
}

impl Place {
    /// Makes the folder, and finds a home for Postgres that its user can reach.
    pub fn prepare(dir: &Path) -> Result<Self, Error> {
        DirBuilder::new().recursive(true).mode(0o755).create(dir).map_err(Error::file(dir))?;
        let place = Self::at(dir)?;
        fs::write(place.home_note(), place.postgres_home.to_string_lossy().as_bytes()).map_err(Error::file(place.home_note()))?;
        Ok(place)
    }

    /// The place of a folder that exists; changes nothing.
    pub fn at(dir: &Path) -> Result<Self, Error> {
        let dir = dir.canonicalize().map_err(Error::file(dir))?;
        let user = OsUser::for_postgres()?;
        let recorded = fs::read_to_string(dir.join("postgres_home")).ok().map(|text| PathBuf::from(text.trim()));
        let postgres_home = match recorded {
            Some(home) if user.trusts(&home) => home,
            _ if can_enter(&user, &dir) => dir.clone(),
            _ => elsewhere(&user, &dir)?,
        };
        Ok(Self { dir, postgres_home, user })
    }

    pub fn env_file(&self) -> PathBuf {
        self.dir.join("env")
    }

    pub fn keys_dir(&self) -> PathBuf {
        self.dir.join("keys")
    }

    /// What a process of this name says.
    pub fn log(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.log"))
    }

    pub fn pid(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.pid"))
    }

    pub fn fingerprint(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.fingerprint"))
    }

    /// Where exports and archives are kept.
    pub fn storage_url(&self) -> Result<String, Error> {
        let folder = self.dir.join("storage");
        let url = Url::from_directory_path(&folder).map_err(|()| Error::Storage(format!("{} is no absolute path", folder.display())))?;
        Ok(url.into())
    }

    pub fn data_dir(&self) -> PathBuf {
        self.postgres_home.join("postgres")
    }

    pub fn postgres_log(&self) -> PathBuf {
        self.postgres_home.join("postgres.log")
    }

    /// The folder of the Unix socket: the data folder, or a short path where that one is too long for a socket.
    pub fn socket_dir(&self) -> PathBuf {
        let data_dir = self.data_dir();
        if data_dir.as_os_str().len() <= MAX_SOCKET_DIR_BYTES {
            data_dir
        } else {
            PathBuf::from(format!("/tmp/nebula-{}", digest(&self.dir)))
        }
    }

    fn home_note(&self) -> PathBuf {
        self.dir.join("postgres_home")
    }
}

/// Whether the user can reach a file in the folder, asked of the kernel by trying.
fn can_enter(user: &OsUser, dir: &Path) -> bool {
    let status = user.command("test").arg("-x").arg(dir).stdin(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

fn elsewhere(user: &OsUser, dir: &Path) -> Result<PathBuf, Error> {
    let home = PathBuf::from(format!("/var/tmp/nebula-{}", digest(dir)));
    DirBuilder::new().recursive(true).mode(0o755).create(&home).map_err(Error::file(&home))?;
    if !user.trusts(&home) {
        return Err(Error::Foreign(home));
    }
    fs::set_permissions(&home, Permissions::from_mode(0o755)).map_err(Error::file(&home))?;
    Ok(home)
}

/// A short name for a folder.
fn digest(dir: &Path) -> String {
    let digest = Sha256::digest(dir.as_os_str().as_encoded_bytes());
    digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}
