//! A certificate authority of a test's own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// An authority, whose files lie in a folder.
pub struct Authority {
    dir: PathBuf,
    name: String,
}

/// A certificate and its key, PEM.
pub struct Certificate {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

fn openssl(arguments: &[&str]) {
    let made = Command::new("openssl").args(arguments).current_dir("/").output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

const CURVE: [&str; 4] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];

impl Authority {
    #[must_use]
    pub fn new(dir: &Path, name: &str) -> Self {
        let authority = Self { dir: dir.to_owned(), name: name.to_owned() };
        let (certificate, key) = (authority.path(".crt"), authority.path(".key"));
        let subject = format!("/CN={name}");
        openssl(
            &[
                &["req", "-x509", "-nodes", "-days", "2", "-subj", &subject, "-addext", "keyUsage=critical,keyCertSign"],
                &CURVE[..],
                &["-out", &certificate, "-keyout", &key],
            ]
            .concat(),
        );
        authority
    }

    fn path(&self, suffix: &str) -> String {
        self.dir.join(format!("{}{suffix}", self.name)).display().to_string()
    }

    /// What clients believe.
    #[must_use]
    pub fn file(&self) -> String {
        self.path(".crt")
    }

    /// A certificate for a subject (`/CN=…`) and its other names (`DNS:…,IP:…`).
    #[must_use]
    pub fn sign(&self, file: &str, subject: &str, names: &str) -> Certificate {
        let path = |suffix: &str| self.path(&format!("-{file}{suffix}"));
        let (request, key, certificate, extensions) = (path(".csr"), path(".key"), path(".crt"), path(".cnf"));
        fs::write(&extensions, format!("subjectAltName = {names}\nbasicConstraints = critical,CA:FALSE\n")).unwrap();
        openssl(&[&["req", "-nodes", "-subj", subject], &CURVE[..], &["-out", &request, "-keyout", &key]].concat());
        let (authority, authority_key) = (self.file(), self.path(".key"));
        openssl(&[
            "x509",
            "-req",
            "-days",
            "2",
            "-in",
            &request,
            "-CA",
            &authority,
            "-CAkey",
            &authority_key,
            "-CAcreateserial",
            "-extfile",
            &extensions,
            "-out",
            &certificate,
        ]);
        Certificate { certificate: certificate.into(), key: key.into() }
    }
}
