//! Connection strings. Fields: a password, and a connection string with `{}` where it goes; or a connection string alone.

use crate::input::lines;
use nebula_edge::fuzzing::database_url as read;

/// What stands before the password of a URL and after it, where it is spelt as it is and nothing else could be meant.
fn around<'a>(text: &'a str, password: &str) -> Option<(&'a str, &'a str)> {
    let behind_scheme = text.find("://")? + 3;
    let behind_user = behind_scheme + text.get(behind_scheme..)?.find(':')? + 1;
    let (before, rest) = text.split_at_checked(behind_user)?;
    let after = rest.strip_prefix(password)?;
    (after.starts_with('@') && !before.contains(['@', '?']) && !password.contains('?')).then_some((before, after))
}

pub fn database_url(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // A megabyte of hosts is no connection string, and would only be slow.
    if text.len() > 4096 {
        return;
    }
    let verdict = read(text);
    if let Ok(url) = &verdict {
        assert_eq!(url.debug, "\"[redacted]\"");
        assert!(url.hosts <= text.len());
        // What is shown is the same whatever the password is.
        if let Some(password) = url.password.as_deref().and_then(|bytes| std::str::from_utf8(bytes).ok())
            && let Some((before, after)) = around(text, password)
        {
            let other = read(&format!("{before}nobodys-password{after}")).unwrap();
            assert_eq!(other.shown, url.shown, "{text:?}");
        }
    }
    // Whatever is wrong with one, the same is told: nothing of it.
    assert!(verdict.is_ok() || verdict == read("postgresql://h/d?x"), "{verdict:?}");
    // The same password in both spellings is the same password.
    let Some([password, user]) = lines::<2>(data) else { return };
    if password.contains('\0') || user.contains('\0') || user.is_empty() || password.is_empty() {
        return;
    }
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('\'', "\\'");
    let pairs = format!("host=h dbname=d user='{}' password='{}'", quoted(user), quoted(password));
    let encoded = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
    let url = format!("postgresql://{}:{}@h/d", encoded(user), encoded(password));
    let (pairs, url) = (read(&pairs).unwrap(), read(&url).unwrap());
    assert_eq!(pairs, url);
    assert_eq!((url.user.as_deref(), url.password.as_deref()), (Some(user), Some(password.as_bytes())));
}
