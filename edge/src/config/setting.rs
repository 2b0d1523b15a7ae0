//! What is known of a setting beside its value: for the reference, for `nebula config`, and for judging what was given.

use super::{DatabaseUrl, Secret};
use ipnet::IpNet;
use serde_json::{Value, json};
use std::{net::SocketAddr, ops::RangeInclusive, path::PathBuf};

/// A setting's description, from its declaration.
#[derive(Debug)]
pub struct Setting {
    /// Its member of the settings file.
    pub name: &'static str,
    /// Its variable.
    pub env: &'static str,
    /// What it does, as the reference says it; ends with `[default: …]` where it has one.
    pub doc: &'static str,
    pub kind: Kind,
    /// The values that make sense, of an integer.
    pub range: Option<RangeInclusive<u64>>,
    /// The commands that read it, separated by spaces; `admin` are those that an administrator runs.
    pub commands: &'static str,
    /// Member and variable of a file that holds the value instead.
    pub file: Option<(&'static str, &'static str)>,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    Integer,
    Number,
    Boolean,
    Path,
    Address,
    Networks,
    ConnectionString,
    Secret,
}

impl Setting {
    /// Its option, with the dashes.
    #[must_use]
    pub fn option(&self) -> String {
        option_of(self.name)
    }

    /// The unit, which stands at the end of its name.
    #[must_use]
    pub fn unit(&self) -> Option<&'static str> {
        let units = [("_seconds", "s"), ("_ms", "ms"), ("_bytes", "bytes"), ("_hours", "h"), ("_days", "d")];
        units.into_iter().find_map(|(suffix, unit)| self.name.ends_with(suffix).then_some(unit))
    }

    /// What it does, without the default and without line breaks.
    #[must_use]
    pub fn about(&self) -> String {
        let text = self.doc.split_whitespace().collect::<Vec<_>>().join(" ");
        match text.split_once(" [default:") {
            Some((before, after)) => format!("{before}{}", after.split_once(']').map_or("", |(_, rest)| rest)),
            None => text,
        }
    }

    /// The default, as the declaration says it.
    #[must_use]
    pub fn default(&self) -> Option<String> {
        let text = self.doc.split_whitespace().collect::<Vec<_>>().join(" ");
        Some(text.split_once("[default: ")?.1.split_once(']')?.0.to_owned())
    }

    /// Whether a command reads it.
    #[must_use]
    pub fn serves(&self, command: &str) -> bool {
        let is_admins = !matches!(command, "serve" | "worker");
        self.commands.is_empty() || self.commands.split(' ').any(|name| name == command || (name == "admin" && is_admins))
    }

    /// Whether its value is told to nobody.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        matches!(self.kind, Kind::ConnectionString | Kind::Secret)
    }
}

/// The option of a member.
#[must_use]
pub fn option_of(member: &str) -> String {
    format!("--{}", member.replace('_', "-"))
}

/// A type that settings have.
pub trait Configured {
    const KIND: Kind;

    /// The value as it may be shown: a secret is not.
    fn shown(&self) -> Value;

    /// The value of an integer.
    fn integer(&self) -> Option<u64> {
        None
    }
}

/// A URL without what stands before its last `@`. No parser is asked where a password ends: one with a slash or a port that is none in it would be shown whole.
pub(crate) fn without_credentials(text: &str) -> String {
    let Some((before, rest)) = text.rsplit_once('@') else { return text.to_owned() };
    let is_scheme = |scheme: &str| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    match before.split_once("://") {
        Some((scheme, _)) if is_scheme(scheme) => format!("{scheme}://[redacted]@{rest}"),
        _ => format!("[redacted]@{rest}"),
    }
}

macro_rules! configured {
    ($($type:ty, $kind:ident, |$value:ident| $shown:expr;)*) => {
        $(impl Configured for $type {
            const KIND: Kind = Kind::$kind;

            fn shown(&self) -> Value {
                let $value = self;
                $shown
            }
        })*
    };
}

configured! {
    String, Text, |value| json!(without_credentials(value));
    bool, Boolean, |value| json!(value);
    f64, Number, |value| json!(value);
    PathBuf, Path, |value| json!(value.display().to_string());
    SocketAddr, Address, |value| json!(value.to_string());
    Vec<IpNet>, Networks, |value| json!(value);
    DatabaseUrl, ConnectionString, |value| json!(value.without_password());
    Secret, Secret, |_value| json!("[redacted]");
}

macro_rules! integers {
    ($($type:ty),*) => {
        $(impl Configured for $type {
            const KIND: Kind = Kind::Integer;

            fn shown(&self) -> Value {
                json!(self)
            }

            fn integer(&self) -> Option<u64> {
                u64::try_from(*self).ok()
            }
        })*
    };
}

integers!(u16, u32, u64, usize);

impl<T: Configured> Configured for Option<T> {
    const KIND: Kind = T::KIND;

    fn shown(&self) -> Value {
        self.as_ref().map_or(Value::Null, T::shown)
    }

    fn integer(&self) -> Option<u64> {
        self.as_ref().and_then(T::integer)
    }
}

#[cfg(test)]
mod tests {
    use super::without_credentials;

    #[test]
    fn credentials_in_a_url_are_not_shown() {
        assert_eq!(without_credentials("s3://key:hunter22@bucket/prefix"), "s3://[redacted]@bucket/prefix");
        assert_eq!(without_credentials("s3://bucket/prefix"), "s3://bucket/prefix");
        // Found by fuzzing: no parser of URLs reads these, and they were shown as they are.
        for broken in [
            "s3://key:hunter22@bucket:99999/p",
            "s3://key:hun/ter22@[::1/",
            "s3:/key:hunter22@bucket",
            "key:hunter22@bucket",
            "s3://key:hunter22@",
        ] {
            assert!(!without_credentials(broken).contains("ter22"), "{broken}");
        }
        assert_eq!(without_credentials("debug,hyper=info"), "debug,hyper=info");
    }
}
