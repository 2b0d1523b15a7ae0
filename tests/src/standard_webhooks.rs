//! Webhooks as others verify them: the official packages of npm and PyPI (`make tools` installs them).

use crate::Received;
use serde_json::json;
use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// What both packages say; they agree, or the test fails.
#[track_caller]
#[must_use]
pub fn verifies(secret: &str, received: &Received) -> bool {
    let message = json!({ "secret": secret, "headers": received.headers, "body": received.body }).to_string();
    let target = workspace().join("target");
    let mut node = Command::new("node");
    node.args(["--input-type=module", "-e", include_str!("../js/webhooks.mjs")]).current_dir(target.join("js"));
    let mut python = Command::new(target.join("python/bin/python"));
    python.args(["-c", include_str!("../python/webhooks.py")]);
    let [node, python] = [node, python].map(|command| say(command, &message));
    assert_eq!(node == "verified", python == "verified", "npm: {node}; PyPI: {python}");
    for said in [&node, &python] {
        assert!(said == "verified" || said.starts_with("refused: No matching signature found"), "{said}");
    }
    node == "verified"
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

#[track_caller]
fn say(mut command: Command, message: &str) -> String {
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.unwrap_or_else(|error| panic!("{command:?}: {error}: run `make tools`"));
    child.stdin.take().unwrap().write_all(message.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "run `make tools`? {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
