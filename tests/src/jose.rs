//! Tokens made by another implementation: npm's `jose`, in a node process of its own (`make tools` installs it).

use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// A running issuer; it ends with its standard input.
pub struct Jose {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Jose {
    #[must_use]
    pub fn start() -> Self {
        let modules = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("target/js");
        assert!(modules.join("node_modules/jose").exists(), "jose is missing: run `make tools`");
        let mut child = Command::new("node")
            .args(["--input-type=module", "-e", include_str!("../js/issuer.mjs")])
            .current_dir(modules)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node");
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    #[track_caller]
    fn ask(&mut self, command: &Value) -> Value {
        writeln!(self.input.as_mut().unwrap(), "{command}").unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(answer.get("error").is_none(), "{command}: {answer}");
        answer
    }

    /// Makes a key pair; its public half as a JWK, and as PEM.
    #[track_caller]
    pub fn generate(&mut self, alg: &str, kid: &str) -> (Value, String) {
        let mut made = self.ask(&json!({ "command": "generate", "alg": alg, "kid": kid, "curve": "Ed25519" }));
        (made["jwk"].take(), made["pem"].as_str().unwrap().to_owned())
    }

    /// Signs with the key of this name.
    #[track_caller]
    pub fn sign(&mut self, kid: &str, header: &Value, claims: &Value) -> String {
        let answer = self.ask(&json!({ "command": "sign", "kid": kid, "header": header, "claims": claims }));
        answer["token"].as_str().unwrap().to_owned()
    }

    /// Signs HS256.
    #[track_caller]
    pub fn sign_with_secret(&mut self, secret: &str, header: &Value, claims: &Value) -> String {
        let answer = self.ask(&json!({ "command": "sign", "secret": secret, "header": header, "claims": claims }));
        answer["token"].as_str().unwrap().to_owned()
    }

    /// Serves a text over TLS on the loopback address; the port.
    #[track_caller]
    pub fn serve(&mut self, cert: &str, key: &str, body: &str) -> u64 {
        self.ask(&json!({ "command": "serve", "cert": cert, "key": key, "body": body }))["port"].as_u64().unwrap()
    }
}

impl Drop for Jose {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}
