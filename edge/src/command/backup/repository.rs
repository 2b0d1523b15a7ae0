//! Where backups are kept, in pgBackRest's words.

use crate::{config::Config, error::Error};
use std::{
    fs,
    path::{Path, PathBuf},
};
use url::Url;

/// Lines of the section `[global]` that say where the repository is and how it is encrypted.
pub fn lines(config: &Config) -> Result<Vec<(&'static str, String)>, Error> {
    let text = config.backup_repository.as_deref().ok_or(Error::Missing("NEBULA_BACKUP_REPOSITORY"))?;
    let url = Url::parse(text).map_err(|error| refused(&error.to_string()))?;
    let mut lines = match url.scheme() {
        "file" => vec![("repo1-type", "posix".to_owned()), ("repo1-path", folder(&url)?.display().to_string())],
        "s3" => s3(&url, |name| std::env::var(name).ok())?,
        _ => return Err(refused("file:///folder or s3://bucket/prefix")),
    };
    if let Some(file) = &config.backup_cipher_file {
        let passphrase = fs::read_to_string(file).map_err(Error::file(file))?;
        lines.extend([("repo1-cipher-type", "aes-256-cbc".to_owned()), ("repo1-cipher-pass", one_line(passphrase.trim(), file)?)]);
    }
    Ok(lines)
}

/// The folder, where the repository is one.
pub fn local_folder(config: &Config) -> Option<PathBuf> {
    Url::parse(config.backup_repository.as_deref()?).ok().filter(|url| url.scheme() == "file").and_then(|url| folder(&url).ok())
}

fn folder(url: &Url) -> Result<PathBuf, Error> {
    url.to_file_path().map_err(|()| refused("no path of this machine"))
}

/// The text may hold a password, so it is not repeated.
fn refused(reason: &str) -> Error {
    Error::Backup(format!("the repository's URL: {reason}"))
}

/// pgBackRest reads a value to the end of its line.
fn one_line(value: &str, file: &Path) -> Result<String, Error> {
    if value.is_empty() || value.contains(['\n', '\r', '\0']) {
        return Err(Error::Backup(format!("{}: one line is wanted", file.display())));
    }
    Ok(value.to_owned())
}

/// Region, endpoint and credentials come from the usual variables.
fn s3(url: &Url, variable: impl Fn(&str) -> Option<String>) -> Result<Vec<(&'static str, String)>, Error> {
    let bucket = url.host_str().filter(|bucket| !bucket.is_empty()).ok_or_else(|| refused("no bucket"))?;
    let region = variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION")).unwrap_or_else(|| "us-east-1".to_owned());
    let mut lines = vec![
        ("repo1-type", "s3".to_owned()),
        ("repo1-s3-bucket", bucket.to_owned()),
        ("repo1-path", if url.path().is_empty() { "/".to_owned() } else { url.path().to_owned() }),
        ("repo1-s3-region", region.clone()),
    ];
    match variable("AWS_ENDPOINT_URL_S3").or_else(|| variable("AWS_ENDPOINT_URL")).or_else(|| variable("AWS_ENDPOINT")) {
        Some(endpoint) => {
            let endpoint = Url::parse(&endpoint).map_err(|error| Error::Backup(format!("AWS_ENDPOINT_URL: {error}")))?;
            let host = endpoint.host_str().filter(|_| endpoint.scheme() == "https");
            let host = host.ok_or_else(|| Error::Backup("AWS_ENDPOINT_URL: pgBackRest speaks https alone".to_owned()))?;
            // Whoever serves S3 by themselves seldom has a name for each bucket.
            lines.extend([("repo1-s3-endpoint", host.to_owned()), ("repo1-s3-uri-style", "path".to_owned())]);
            if let Some(port) = endpoint.port() {
                lines.push(("repo1-storage-port", port.to_string()));
            }
        }
        None => lines.push(("repo1-s3-endpoint", format!("s3.{region}.amazonaws.com"))),
    }
    match (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY")) {
        (Some(id), Some(secret)) => {
            lines.extend([("repo1-s3-key", id), ("repo1-s3-key-secret", secret)]);
            lines.extend(variable("AWS_SESSION_TOKEN").map(|token| ("repo1-s3-token", token)));
        }
        // Of the machine's role.
        _ => lines.push(("repo1-s3-key-type", "auto".to_owned())),
    }
    lines.extend(variable("AWS_CA_BUNDLE").map(|file| ("repo1-storage-ca-file", file)));
    if lines.iter().any(|(_, value)| value.contains(['\n', '\r', '\0'])) {
        return Err(refused("a variable of AWS has several lines"));
    }
    Ok(lines)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn s3_of(url: &str, variables: &[(&str, &str)]) -> Result<Vec<(&'static str, String)>, Error> {
        s3(&Url::parse(url).unwrap(), |name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn s3_takes_endpoint_and_credentials_from_the_usual_variables() {
        let variables =
            [("AWS_ENDPOINT_URL", "https://minio.example:9000"), ("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "secret")];
        let lines = s3_of("s3://bucket/prefix", &variables).unwrap();
        for line in [
            ("repo1-s3-bucket", "bucket"),
            ("repo1-path", "/prefix"),
            ("repo1-s3-endpoint", "minio.example"),
            ("repo1-storage-port", "9000"),
            ("repo1-s3-uri-style", "path"),
            ("repo1-s3-key", "id"),
        ] {
            assert!(lines.contains(&(line.0, line.1.to_owned())), "{line:?}");
        }
        assert!(s3_of("s3://bucket", &[]).unwrap().contains(&("repo1-s3-endpoint", "s3.us-east-1.amazonaws.com".to_owned())));
    }

    #[test]
    fn an_endpoint_in_the_clear_and_lines_in_a_value_are_refused() {
        assert!(s3_of("s3://bucket", &[("AWS_ENDPOINT_URL", "http://minio.example")]).is_err());
        assert!(s3_of("s3://bucket", &[("AWS_REGION", "x\nrepo1-path=/elsewhere")]).is_err());
    }
}
