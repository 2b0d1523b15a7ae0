//! Spellings of earlier releases: what scripts of 0.1.0 say goes on working, and a note tells the new one.

use crate::command::note;
use std::ffi::OsString;

/// Words after the program's name, and what they are now.
const SPELLINGS: [(&[&str], &[&str]); 13] = [
    (&["keys", "generate"], &["key", "signing", "generate"]),
    (&["keys", "list"], &["key", "signing", "list"]),
    (&["keys", "retire"], &["key", "signing", "retire"]),
    (&["keys", "revoke"], &["key", "signing", "revoke"]),
    (&["keys", "rotate-sealing"], &["key", "sealing", "rotate"]),
    (&["keys", "register-sealing"], &["key", "sealing", "register"]),
    (&["keys", "reseal"], &["key", "sealing", "reseal"]),
    (&["issuers"], &["issuer"]),
    (&["tenant", "export"], &["export"]),
    (&["tenant", "import"], &["import"]),
    (&["seed", "--operator"], &["key", "operator", "issue"]),
    (&["keys", "--help"], &["key", "--help"]),
    (&["keys"], &["key"]),
];

/// The command line as it is spelt now.
pub fn current(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let is_spelt = |words: &&(&[&str], &[&str])| {
        let given = arguments.iter().skip(1).take(words.0.len());
        given.clone().count() == words.0.len() && given.zip(words.0).all(|(given, word)| given == word)
    };
    if let Some((old, new)) = SPELLINGS.iter().find(is_spelt) {
        note(&format!("nebula {} is spelt nebula {} now", old.join(" "), new.join(" ")));
        arguments.splice(1..=old.len(), new.iter().map(OsString::from));
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelt(line: &str) -> String {
        let words = current(line.split(' ').map(OsString::from).collect());
        words.iter().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_earlier_releases_said_is_understood() {
        assert_eq!(spelt("nebula keys generate"), "nebula key signing generate");
        assert_eq!(spelt("nebula tenant export acme --output f"), "nebula export acme --output f");
        assert_eq!(spelt("nebula seed --operator --name ops"), "nebula key operator issue --name ops");
        assert_eq!(spelt("nebula tenant list"), "nebula tenant list");
        assert_eq!(spelt("nebula seed"), "nebula seed");
        assert_eq!(spelt("nebula"), "nebula");
    }
}
