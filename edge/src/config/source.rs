//! Where a value came from, and secrets that are in files.

use super::{DatabaseUrl, Secret};
use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Default,
    /// The settings file.
    File(PathBuf),
    /// A file of `$CREDENTIALS_DIRECTORY` (systemd.exec(5), LoadCredential=).
    Credential(PathBuf),
    Environment(&'static str),
    /// With the dashes.
    Option(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) | Self::Credential(path) => write!(f, "{}", path.display()),
            Self::Environment(name) => f.write_str(name),
            Self::Option(name) => f.write_str(name),
        }
    }
}

/// What one source says of a setting: the value, or a file that holds it.
pub struct Given<T> {
    pub value: Option<T>,
    pub file: Option<PathBuf>,
}

/// A type whose value may stand in a file of its own.
pub trait FromSecretFile: Sized {
    /// `Err` says what is wrong and repeats nothing of the text.
    fn from_secret(text: String) -> Result<Self, String>;
}

impl FromSecretFile for DatabaseUrl {
    fn from_secret(text: String) -> Result<Self, String> {
        Self::try_from(text)
    }
}

impl FromSecretFile for Secret {
    fn from_secret(text: String) -> Result<Self, String> {
        Ok(Self::from(text))
    }
}

/// The largest secret: what is longer is the wrong file.
const MAX_SECRET_BYTES: u64 = 64 << 10;

/// A file's secret. Line feeds at its end are an editor's, not the secret's.
pub fn read_secret<T: FromSecretFile>(path: &Path) -> Result<T, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let length = fs::metadata(path).map_err(failed)?.len();
    if length > MAX_SECRET_BYTES {
        return Err(format!("{} has {length} bytes: that is no secret", path.display()));
    }
    let mut text = fs::read_to_string(path).map_err(failed)?;
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    if text.is_empty() {
        return Err(format!("{} is empty", path.display()));
    }
    T::from_secret(text).map_err(|reason| format!("{}: {reason}", path.display()))
}

/// Who but its owner may read a file, by its mode; `None` where nobody or where it isn't there.
#[must_use]
pub fn readable_by_others(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & 0o007 != 0).then_some(mode)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn file(text: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("nebula-secret-{}", uuid::Uuid::now_v7()));
        fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn a_secret_file_is_read_without_its_line_feed() {
        let path = file("postgresql://e:hunter22@h/d\n");
        assert_eq!(read_secret::<DatabaseUrl>(&path).unwrap().reveal(), "postgresql://e:hunter22@h/d");
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_refused_secret_file_is_named_and_not_quoted() {
        for text in ["", "\n", "hunter22 = 7 =", &"hunter22".repeat(10_000)] {
            let path = file(text);
            let refusal = read_secret::<DatabaseUrl>(&path).unwrap_err();
            assert!(refusal.contains("nebula-secret-") && !refusal.contains("hunter22"), "{refusal}");
            fs::remove_file(path).unwrap();
        }
        assert!(read_secret::<Secret>(Path::new("/nonexistent/secret")).err().unwrap().contains("/nonexistent/secret"));
    }
}
