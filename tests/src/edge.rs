//! The real edge: a process of its own on a free port.

use crate::{
    Anonymous, Caller, Key, Process, User,
    cluster::{Installation, nebula_program},
    eventually,
    http::agent,
};
use std::{
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::ExitStatus,
    time::Duration,
};

/// A running `nebula serve`.
pub struct Edge {
    process: Process,
    pub base: String,
    pub agent: ureq::Agent,
    operator_key: String,
}

impl Edge {
    /// Starts the edge and waits until it is ready.
    #[must_use]
    pub fn start(installation: &Installation, database_url: &str, settings: &[(&str, &str)]) -> Self {
        let edge = Self::start_without_database(installation, database_url, settings);
        eventually("the edge is ready", || edge.is_ready());
        edge
    }

    /// Starts the edge and waits until it listens, whether or not there is a database.
    #[must_use]
    pub fn start_without_database(installation: &Installation, database_url: &str, settings: &[(&str, &str)]) -> Self {
        Self::start_program(&nebula_program(), installation, database_url, settings)
    }

    /// The same with the program of any release.
    #[must_use]
    pub fn start_program(program: &Path, installation: &Installation, database_url: &str, settings: &[(&str, &str)]) -> Self {
        let variables = [&[("NEBULA_DATABASE_URL", database_url), ("NEBULA_LISTEN", "127.0.0.1:0")], settings].concat();
        let process = Process::start_program(program, installation, &["serve"], &variables);
        let mut edge = Self { process, base: String::new(), agent: agent(), operator_key: installation.operator_key.clone() };
        eventually("the edge listens", || {
            let log = edge.log();
            assert!(edge.process.ended().is_none(), "the edge ended: {log}");
            let port =
                log.split("listening on 127.0.0.1:").nth(1).map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
            edge.base = port.map(|port| format!("http://127.0.0.1:{port}")).unwrap_or_default();
            !edge.base.is_empty()
        });
        edge
    }

    /// Whether `/health/ready` says so.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.anonymous().get("/health/ready").status == 200
    }

    /// What it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    #[must_use]
    pub fn anonymous(&self) -> Anonymous {
        Anonymous { base: self.base.clone(), agent: self.agent.clone() }
    }

    #[must_use]
    pub fn user(&self, token: &str) -> User {
        User { base: self.base.clone(), agent: self.agent.clone(), token: token.to_owned() }
    }

    #[must_use]
    pub fn key(&self, secret: &str) -> Key {
        Key { base: self.base.clone(), agent: self.agent.clone(), secret: secret.to_owned() }
    }

    /// The platform's operator.
    #[must_use]
    pub fn operator(&self) -> Key {
        self.key(&self.operator_key)
    }

    /// A TCP connection, for what is no proper HTTP.
    #[must_use]
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.base.trim_start_matches("http://")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// Sends these bytes and reads until the edge closes the connection.
    #[must_use]
    pub fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.process.signal("TERM");
    }

    /// Waits until the process has ended.
    pub fn wait(&mut self) -> ExitStatus {
        self.process.wait()
    }
}
