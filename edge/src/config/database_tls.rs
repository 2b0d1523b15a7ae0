//! How a connection string wants TLS: what libpq knows of it and the driver doesn't.

use percent_encoding::percent_decode_str;
use std::path::PathBuf;

/// How much of the server's certificate is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verification {
    /// Nothing: who listens on the way sees nothing, who stands in the way sees everything.
    #[default]
    Nothing,
    /// Who signed it (`verify-ca`).
    Signature,
    /// Who signed it, and that it is the host's (`verify-full`).
    Host,
}

/// Which certificate authorities are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Roots {
    /// The machine's.
    #[default]
    System,
    /// Those of a PEM file.
    File(PathBuf),
}

/// `sslmode`, `sslrootcert`, `sslcert` and `sslkey`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DatabaseTls {
    pub verification: Verification,
    pub roots: Roots,
    /// The client's own certificate and key, PEM.
    pub certificate: Option<(PathBuf, PathBuf)>,
}

/// A connection string without the parameters that only we understand, and those; `None` where it can't be read, or asks for what contradicts itself.
pub fn take(text: &str) -> Option<(String, DatabaseTls)> {
    let (rest, own) = if text.starts_with("postgresql://") || text.starts_with("postgres://") { of_url(text)? } else { of_pairs(text)? };
    let value = |name: &str| own.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let verification = match (value("sslmode"), value("sslrootcert")) {
        (Some("verify-full"), _) => Verification::Host,
        (Some("verify-ca"), _) => Verification::Signature,
        // As libpq does: who names the machine's authorities wants them asked, and who would go without does not.
        (_, Some("system")) => return None,
        // As libpq does: who names an authority wants it believed, and no other.
        (Some("require"), Some(_)) => Verification::Signature,
        _ => Verification::Nothing,
    };
    let roots = match value("sslrootcert") {
        None | Some("system") => Roots::System,
        Some(path) => Roots::File(PathBuf::from(path)),
    };
    let certificate = match (value("sslcert"), value("sslkey")) {
        (Some(certificate), Some(key)) => Some((PathBuf::from(certificate), PathBuf::from(key))),
        (None, None) => None,
        _ => return None,
    };
    Some((rest, DatabaseTls { verification, roots, certificate }))
}

type Parameters = Vec<(String, String)>;

/// What the driver sees of a parameter.
enum Seen {
    Whole,
    /// Another value.
    As(&'static str),
    Nothing,
}

fn seen(name: &str, value: &str) -> Seen {
    match (name, value) {
        ("sslmode", "verify-ca" | "verify-full") => Seen::As("require"),
        ("sslrootcert" | "sslcert" | "sslkey", _) => Seen::Nothing,
        _ => Seen::Whole,
    }
}

fn of_url(text: &str) -> Option<(String, Parameters)> {
    let Some((head, query)) = text.split_once('?') else { return Some((text.to_owned(), Vec::new())) };
    let (mut kept, mut all) = (Vec::new(), Vec::new());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=')?;
        let value = percent_decode_str(value).decode_utf8().ok()?.into_owned();
        match seen(name, &value) {
            Seen::Whole => kept.push(pair.to_owned()),
            Seen::As(other) => kept.push(format!("{name}={other}")),
            Seen::Nothing => {}
        }
        all.push((name.to_owned(), value));
    }
    Some((if kept.is_empty() { head.to_owned() } else { format!("{head}?{}", kept.join("&")) }, all))
}

fn of_pairs(text: &str) -> Option<(String, Parameters)> {
    let (mut kept, mut all) = (Vec::new(), Vec::new());
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=')?;
        let (value, end) = value_of(after.trim_start())?;
        let name = name.trim_end();
        match seen(name, &value) {
            Seen::Whole => kept.push(format!("{name}='{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))),
            Seen::As(other) => kept.push(format!("{name}={other}")),
            Seen::Nothing => {}
        }
        all.push((name.to_owned(), value));
        rest = end.trim_start();
    }
    Some((kept.join(" "), all))
}

/// The value that stands at the beginning, quoted or not, and what comes after it.
fn value_of(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let is_quoted = text.starts_with('\'');
    let mut characters = text.char_indices().skip(usize::from(is_quoted));
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => value.push(characters.next()?.1),
            '\'' if is_quoted => return text.get(at + 1..).map(|rest| (value, rest)),
            space if !is_quoted && space.is_whitespace() => return text.get(at..).map(|rest| (value, rest)),
            other => value.push(other),
        }
    }
    (!is_quoted).then_some((value, ""))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_the_driver_does_not_know_is_taken_out_of_both_forms() {
        let tls = DatabaseTls {
            verification: Verification::Host,
            roots: Roots::File("/etc/ssl/our ca.pem".into()),
            certificate: Some(("/c.pem".into(), "/k.pem".into())),
        };
        let url = "postgresql://e:p%40@a:1,b:2/d?sslmode=verify-full&application_name=x&sslrootcert=/etc/ssl/our%20ca.pem&sslcert=/c.pem&sslkey=/k.pem";
        assert_eq!(take(url).unwrap(), ("postgresql://e:p%40@a:1,b:2/d?sslmode=require&application_name=x".to_owned(), tls.clone()));
        let pairs =
            r"host=a,b password = 'it\'s \\' sslrootcert='/etc/ssl/our ca.pem' sslmode=verify-full  sslcert=/c.pem sslkey=/k.pem user=e";
        assert_eq!(take(pairs).unwrap(), (r"host='a,b' password='it\'s \\' sslmode=require user='e'".to_owned(), tls));
    }

    #[test]
    fn what_is_checked_follows_libpq() {
        let verification = |query: &str| take(&format!("postgresql://h/d?{query}")).unwrap().1.verification;
        assert_eq!(verification("sslmode=prefer"), Verification::Nothing);
        assert_eq!(verification("sslmode=require"), Verification::Nothing);
        assert_eq!(verification("sslmode=require&sslrootcert=/ca.pem"), Verification::Signature);
        assert_eq!(verification("sslmode=verify-ca"), Verification::Signature);
        assert_eq!(verification("sslmode=verify-full"), Verification::Host);
        assert_eq!(verification("sslmode=verify-full&sslrootcert=system"), Verification::Host);
        for contradiction in ["sslrootcert=system", "sslmode=prefer&sslrootcert=system", "sslmode=require&sslrootcert=system"] {
            assert_eq!(take(&format!("postgresql://h/d?{contradiction}")), None, "{contradiction}");
        }
    }

    #[test]
    fn half_a_client_certificate_and_an_open_quote_are_refused() {
        assert_eq!(take("postgresql://h/d?sslcert=/c.pem"), None);
        assert_eq!(take("host=h password='open"), None);
        assert_eq!(take("host=h sslmode"), None);
    }
}
