//! What a DBA asked for, and what of it can't be.

use super::refused::{Refused, Result};
use crate::kernel::{
    custom_operation::{self, Options, default_max_rows},
    exposed_function::Function,
    operation::{self, Kind, Method},
    outbox,
    spi::{self, Arg},
};
use nebula_core::{
    argument::Type,
    route::{Path, Routes},
    text::Key,
};

/// What a DBA asked for.
pub struct Wanted<'a> {
    pub function: u32,
    pub action: &'a str,
    pub method: &'a str,
    pub path: &'a str,
    pub kind: Option<&'a str>,
    pub tool: Option<&'a str>,
    pub package: Option<&'a str>,
    pub success: Option<i32>,
    pub summary_pt: Option<&'a str>,
    pub summary_en: Option<&'a str>,
    pub per_minute: Option<i32>,
    pub per_month: Option<i32>,
    pub max_rows: Option<i32>,
    pub event: Option<&'a str>,
    /// Seconds since the epoch.
    pub deprecated_at: Option<i64>,
    /// Seconds since the epoch.
    pub sunset_at: Option<i64>,
}

/// What is checked without the database.
pub struct Definition {
    pub action: Key,
    pub method: Method,
    pub path: Path,
    pub kind: Kind,
}

/// Reads it, and refuses what is the product's own.
pub fn define(wanted: &Wanted) -> Result<Definition> {
    let action = Key::parse(wanted.action).ok().filter(|action| action.as_str().contains('.'));
    let Some(action) = action else {
        return Err(
            Refused::invalid(format!("{} is no action key", wanted.action)).hint("An action is `noun.verb`, such as orders.create.")
        );
    };
    let is_suffix =
        |part: &str| part.strip_prefix('v').is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()));
    if action.as_str().rsplit('.').next().is_some_and(is_suffix) {
        return Err(
            Refused::invalid("an action does not end in a version").hint("The version is the path's: expose the function under /v2/…")
        );
    }
    let Some(method) = Method::parse(wanted.method) else {
        return Err(Refused::invalid(format!("{} is no method", wanted.method)).hint("GET, POST, PUT, PATCH or DELETE."));
    };
    let path = Path::parse(wanted.path).map_err(|reason| Refused::invalid(format!("the path {} {reason}", wanted.path)))?;
    let kind = match wanted.kind {
        None if method == Method::Get => Kind::Read,
        None => Kind::Write,
        Some(kind) => Kind::parse(kind).ok_or_else(|| Refused::invalid(format!("{kind} is no kind")).hint("read, write or admin."))?,
    };
    if method == Method::Get && kind != Kind::Read {
        return Err(Refused::invalid("GET only reads").hint("Clients and proxies repeat it at will: take POST for what has an effect."));
    }
    match custom_operation::reserved_by(&operation::built_in(), action.as_str(), &path) {
        Some("action") => Err(Refused::taken(format!("actions that begin like {action} are Nebula's own", action = action.as_str()))),
        Some(_) => Err(Refused::taken(format!("paths under /{} are Nebula's own", path.resource))),
        None => Ok(Definition { action, method, path, kind }),
    }
}

/// The options, with their defaults.
pub fn options(wanted: &Wanted, definition: &Definition, function: &Function) -> Result<Options> {
    let success = wanted.success.unwrap_or(if function.returns_nothing() { 204 } else { 200 });
    let success = u16::try_from(success).ok().filter(|status| (200..300).contains(status));
    let Some(success) = success.filter(|status| (*status == 204) == function.returns_nothing()) else {
        return Err(Refused::invalid("success is 200 to 299, and 204 exactly where the function returns void"));
    };
    let positive = |name: &str, number: Option<i32>, most: u32| match number.map(u32::try_from) {
        None => Ok(None),
        Some(Ok(number)) if (1..=most).contains(&number) => Ok(Some(number)),
        Some(_) => Err(Refused::invalid(format!("{name} is 1 to {most}"))),
    };
    if let Some(event) = wanted.event {
        if definition.kind == Kind::Read {
            return Err(Refused::invalid("what only reads has no event"));
        }
        outbox::check_custom(event).map_err(|_| Refused::invalid(format!("{event} is no name of an event of yours")))?;
    }
    match (wanted.deprecated_at, wanted.sunset_at) {
        (None, Some(_)) => return Err(Refused::invalid("sunset_at needs deprecated_at")),
        (Some(at), Some(sunset)) if sunset < at => return Err(Refused::invalid("sunset_at is before deprecated_at")),
        _ => {}
    }
    let summary = |text: Option<&str>| match text.unwrap_or(wanted.action) {
        text if text.chars().count() > 200 || text.contains(char::is_control) => {
            Err(Refused::invalid("a summary is one line of at most 200 characters"))
        }
        text => Ok(text.to_owned()),
    };
    Ok(Options {
        success,
        summary_pt: summary(wanted.summary_pt.or(wanted.summary_en))?,
        summary_en: summary(wanted.summary_en.or(wanted.summary_pt))?,
        per_minute: positive("per_minute", wanted.per_minute, 1_000_000)?,
        per_month: positive("per_month", wanted.per_month, 1_000_000_000)?,
        max_rows: positive("max_rows", wanted.max_rows, 100_000)?.unwrap_or_else(default_max_rows),
        event: wanted.event.map(str::to_owned),
        deprecated_at: wanted.deprecated_at,
        sunset_at: wanted.sunset_at,
    })
}

/// Path parameters are arguments that can stand in a path.
pub fn check_parameters(definition: &Definition, function: &Function) -> Result<()> {
    for name in &definition.path.parameters {
        let Some(argument) = function.arguments.iter().find(|argument| argument.name == *name) else {
            let names = function.arguments.iter().map(|argument| argument.name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(Refused::invalid(format!("{} has no argument for {{{name}}}", function.signature))
                .hint(format!("In JSON its arguments are: {names}.")));
        };
        let mut kind = &argument.kind;
        while let Type::Domain { base, .. } = kind {
            kind = base;
        }
        if matches!(kind, Type::List(_) | Type::Object(_) | Type::Json) {
            return Err(Refused::invalid(format!("the argument {name} is no single value and can't stand in a path")));
        }
    }
    Ok(())
}

/// Refuses a route that is another's, or that the edge could not tell from another.
pub fn check_route(definition: &Definition) -> Result<()> {
    let mut routes = Routes::default();
    let mut add = |path: &str| routes.add(path);
    for operation in operation::built_in() {
        let _ = add(&operation.path);
    }
    let others = spi::rows(
        "select method, path, action from nebula.operation where status = 'ativo' and not (action = $1 and api_version = $2)",
        &[Arg::Text(definition.action.as_str()), Arg::Int(definition.api_version())],
        |row| [row.text(1), row.text(2), row.text(3)].map(Option::unwrap_or_default),
    );
    for [method, path, action] in &others {
        if method == definition.method.as_str() && path == definition.path.as_str() {
            return Err(
                Refused::taken(format!("{method} {path} is {action} already")).hint("nebula.unexpose() it first, or take another path.")
            );
        }
        let _ = add(path);
    }
    add(definition.path.as_str()).map_err(|with| {
        Refused::taken(format!("the path {} can't be told from {with}", definition.path.as_str())).hint("Name the parameters alike.")
    })
}

impl Definition {
    /// The number in its path.
    #[must_use]
    pub fn api_version(&self) -> i32 {
        i32::try_from(self.path.version).unwrap_or_default()
    }
}
