//! TLS before a server that speaks none, or none that everybody understands: node's.

use crate::certificates::Certificate;
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

/// A running proxy on the loopback address; it ends with its standard input.
pub struct TlsProxy {
    child: Child,
    pub port: u16,
}

impl TlsProxy {
    #[must_use]
    pub fn start(certificate: &Certificate, to: u16) -> Self {
        let mut child = Command::new("node")
            .args(["--input-type=module", "-e", include_str!("../js/tls_proxy.mjs"), "--"])
            .args([&certificate.certificate, &certificate.key])
            .arg(to.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, port: line.trim().parse().unwrap() }
    }
}

impl Drop for TlsProxy {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
