//! What there is to set: docs/operations/nebula.toml and docs/operations/configuration.md are what this prints.

use super::super::output::say;
use crate::{
    config::{Kind, SETTINGS, Setting},
    error::Error,
};
use std::fmt::Write;

pub fn run(is_markdown: bool) -> Result<(), Error> {
    say(if is_markdown { markdown() } else { toml() }.trim_end())
}

/// A value for the reference: the default, or one of the right form.
fn example(setting: &Setting) -> String {
    if let Some(default) = setting.default().filter(|default| !default.contains([' ', '`']) && default != "none") {
        return match setting.kind {
            Kind::Integer | Kind::Number | Kind::Boolean => default,
            _ => format!("\"{default}\""),
        };
    }
    match setting.kind {
        Kind::Integer => setting.range.as_ref().map_or_else(|| "1".to_owned(), |range| range.start().to_string()),
        Kind::Boolean => "false".to_owned(),
        Kind::Number => "0.5".to_owned(),
        Kind::Address => "\"127.0.0.1:9090\"".to_owned(),
        Kind::Networks => "[\"10.0.0.0/8\"]".to_owned(),
        Kind::ConnectionString => "\"postgresql://login:password@127.0.0.1:5432/nebula\"".to_owned(),
        Kind::Path => "\"/etc/nebula/…\"".to_owned(),
        _ => "\"…\"".to_owned(),
    }
}

fn range(setting: &Setting) -> Option<String> {
    let range = setting.range.as_ref()?;
    Some(format!("{} to {}", range.start(), range.end()))
}

/// Lines of at most so many characters, each after `prefix`.
fn wrapped(text: &str, prefix: &str, out: &mut String) {
    const WIDTH: usize = 110;
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() && line.len() + word.len() >= WIDTH {
            let _ = writeln!(out, "{prefix}{line}");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    let _ = writeln!(out, "{prefix}{line}");
}

fn toml() -> String {
    let mut out = String::from(
        "# Every setting of Nebula, made by `nebula config reference`. What is commented out has the value that it shows, or none.\n\
         # An option (--pool-size 16) overrides a variable (NEBULA_POOL_SIZE=16), a variable systemd's credentials, and those this file.\n\
         # Given to a program by --config or NEBULA_CONFIG. `nebula config check` says what is wrong with it.\n",
    );
    for setting in SETTINGS {
        out.push('\n');
        wrapped(&setting.about(), "# ", &mut out);
        let mut facts = vec![setting.env.to_owned()];
        facts.extend(range(setting));
        facts.extend((!setting.commands.is_empty()).then(|| format!("read by {}", readers(setting))));
        facts.extend(setting.default().filter(|default| default.contains([' ', '`'])).map(|default| format!("by default {default}")));
        wrapped(&format!("({})", facts.join("; ")), "# ", &mut out);
        let _ = writeln!(out, "# {} = {}", setting.name, example(setting));
        if let Some((member, variable)) = setting.file {
            let _ = writeln!(out, "# {member} = \"/run/credentials/{}\"  # instead ({variable})", setting.name);
        }
    }
    out
}

fn readers(setting: &Setting) -> String {
    setting.commands.split(' ').map(|name| if name == "admin" { "administrators' commands" } else { name }).collect::<Vec<_>>().join(", ")
}

fn markdown() -> String {
    let mut out = String::from(
        "# Configuration\n\n\
         Made by `make docs` from the program; [nebula.toml](nebula.toml) is the same as a file to copy. `nebula config` prints the effective settings and where each came from, \
         `nebula config check` what is wrong with them.\n\n\
         A value is taken from the first of these that has it:\n\n\
         1. the option: `--pool-size 32`\n\
         2. the variable: `NEBULA_POOL_SIZE=32`\n\
         3. for secrets, systemd's credentials: a file of `$CREDENTIALS_DIRECTORY` with the setting's name (`LoadCredential=database_url:/etc/nebula/database_url`)\n\
         4. the settings file that `--config` or `NEBULA_CONFIG` names: `pool_size = 32`\n\
         5. the default\n\n\
         A secret may stand in a file of its own instead, named by option, variable or member with `file` at the end (`--database-url-file`, `NEBULA_DATABASE_URL_FILE`, `database_url_file`): the value alone, \
         line feeds at its end don't count. Value and file at once are refused. A file that a command doesn't need may be unreadable to it. \
         Which other variables are read and which are not: [0030](../decisions/0030-configuration.md).\n\n\
         A member of the file that doesn't exist is refused with the nearest that does. A variable that begins with `NEBULA_` and doesn't exist is an error of `nebula config check`, and \
         a warning in the log of `serve` and `worker`: a newer release's variable must not keep an older one from starting during an update.\n\n\
         Names end with their unit.\n\n\
         | setting | does | default | values | read by |\n|---|---|---|---|---|\n",
    );
    for setting in SETTINGS {
        let values = match (setting.kind, range(setting)) {
            (_, Some(range)) => format!("{range}{}", setting.unit().map(|unit| format!(" {unit}")).unwrap_or_default()),
            (Kind::Boolean, _) => "true, false".to_owned(),
            (Kind::Number, _) => "number".to_owned(),
            (Kind::Address, _) => "address:port".to_owned(),
            (Kind::Networks, _) => "networks".to_owned(),
            (Kind::Path, _) => "path".to_owned(),
            (Kind::ConnectionString, _) => "connection string; secret".to_owned(),
            (Kind::Secret, _) => "secret".to_owned(),
            (Kind::Text | Kind::Integer, _) => "text".to_owned(),
        };
        let file = setting.file.map(|(_, variable)| format!("<br>`{variable}`")).unwrap_or_default();
        let readers = if setting.commands.is_empty() { "all".to_owned() } else { readers(setting) };
        let default = setting
            .default()
            .map_or_else(|| "–".to_owned(), |default| if default.contains('`') { default } else { format!("`{default}`") });
        let _ = writeln!(
            out,
            "| `{}`<br>`{}`{file} | {} | {default} | {values} | {readers} |",
            setting.name,
            setting.env,
            setting.about().replace('|', "\\|")
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    #[test]
    fn every_value_of_the_reference_file_is_one_that_its_setting_may_have() {
        let is_value = |line: &&str| SETTINGS.iter().any(|setting| line.starts_with(&format!("{} = ", setting.name)));
        let text = toml().lines().filter_map(|line| line.strip_prefix("# ")).filter(is_value).collect::<Vec<_>>().join("\n");
        assert_eq!(text.lines().count(), SETTINGS.len(), "{text}");
        let mut problems = Vec::new();
        Settings::read(&text, &mut problems);
        assert!(problems.is_empty(), "{problems:?}");
    }

    #[test]
    fn the_reference_names_every_variable() {
        let (toml, markdown) = (toml(), markdown());
        for setting in SETTINGS {
            assert!(toml.contains(setting.env) && markdown.contains(setting.env), "{}", setting.env);
        }
    }
}
