//! A server that speaks S3 (moto), on the loopback address.

use crate::{
    cluster::{Installation, free_port},
    eventually,
    http::agent,
};
use std::{
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// A running server with one bucket; killed by its id when dropped.
pub struct ObjectStorage {
    child: Child,
    mark: PathBuf,
    agent: ureq::Agent,
    pub url: String,
}

impl ObjectStorage {
    /// The bucket's name.
    pub const BUCKET: &str = "nebula-test";

    /// Starts the server and makes the bucket.
    #[must_use]
    pub fn start(installation: &Installation) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let program = root.join("target/python/bin/moto_server");
        assert!(program.exists(), "{} is missing: run `make tools`", program.display());
        let port = free_port();
        let child = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // The watcher of the cluster ends it when this process is gone.
        let mark = installation.cluster.dir.join("edges").join(child.id().to_string());
        fs::write(&mark, "").unwrap();
        let storage = Self { child, mark, agent: agent(), url: format!("http://127.0.0.1:{port}") };
        eventually("the object storage listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        assert_eq!(storage.agent.put(storage.path("")).send_empty().unwrap().status(), 200);
        storage
    }

    fn path(&self, key: &str) -> String {
        format!("{}/{}/{key}", self.url, Self::BUCKET)
    }

    /// An object; `None` where there is none.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Vec<u8>> {
        let mut response = self.agent.get(self.path(key)).call().unwrap();
        (response.status() == 200).then(|| response.body_mut().with_config().limit(1 << 30).read_to_vec().unwrap())
    }

    /// What the program is told.
    #[must_use]
    pub fn settings<'a>(&'a self, storage_url: &'a str) -> [(&'static str, &'a str); 6] {
        [
            ("NEBULA_STORAGE_URL", storage_url),
            ("AWS_ENDPOINT", &self.url),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "canary-access-key"),
            ("AWS_SECRET_ACCESS_KEY", "canary-secret-key"),
        ]
    }
}

impl Drop for ObjectStorage {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.mark);
    }
}
