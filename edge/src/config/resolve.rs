//! Options over the environment over systemd's credentials over the file over the defaults.

use super::{
    Config, Problem, Setting, Settings, Source, judge,
    settings::given,
    source::{FromSecretFile, Given, read_secret},
};
use crate::error::Error;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// What the settings were read from and who reads them.
pub struct Sources<'a> {
    /// The command, whose business some secrets are not: a file that it doesn't need may be unreadable to it.
    pub command: &'a str,
    pub file: Option<&'a Path>,
    /// systemd's `$CREDENTIALS_DIRECTORY`: a file with the name of a secret's setting.
    pub credentials: Option<PathBuf>,
    /// Whether a member was given as an option; else it was a variable.
    pub is_option: &'a dyn Fn(&str) -> bool,
}

/// Settings, where each came from, and what is wrong with them.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    pub sources: BTreeMap<&'static str, Source>,
    pub problems: Vec<Problem>,
}

impl Loaded {
    /// Reads everything, over `options`, in which clap has already put the environment beneath the options.
    #[must_use]
    pub fn read(options: Settings, sources: &Sources<'_>) -> Self {
        let mut problems = Vec::new();
        let file = match sources.file.map(|path| std::fs::read_to_string(path).map_err(|error| (path, error))) {
            Some(Ok(text)) => Settings::read(&text, &mut problems),
            Some(Err((path, error))) => {
                problems.push(
                    Problem::error("settings file", format!("{}: {error}", path.display())).hint("--config or NEBULA_CONFIG names it"),
                );
                Settings::default()
            }
            None => Settings::default(),
        };
        Self::resolve(options, file, sources, problems)
    }

    fn resolve(options: Settings, file: Settings, sources: &Sources<'_>, problems: Vec<Problem>) -> Self {
        let mut resolver = Resolver { sources, problems, found: BTreeMap::new() };
        let config = Config::resolve(options, file, &mut resolver);
        let Resolver { mut problems, found, .. } = resolver;
        judge::judge(&config, &found, &mut problems);
        Self { config, sources: found, problems }
    }

    /// The settings, where nothing is wrong with them.
    pub fn into_config(self) -> Result<Config, Error> {
        let errors = self.problems.into_iter().filter(Problem::is_error).collect::<Vec<_>>();
        if errors.is_empty() { Ok(self.config) } else { Err(Error::Settings(errors)) }
    }
}

#[cfg(test)]
impl Config {
    /// These settings and the defaults.
    pub fn of(settings: Settings) -> Self {
        let sources = Sources { command: "serve", file: None, credentials: None, is_option: &|_| true };
        Loaded::resolve(settings, Settings::default(), &sources, Vec::new()).config
    }
}

/// Takes each setting from the first source that has it.
pub struct Resolver<'a> {
    sources: &'a Sources<'a>,
    problems: Vec<Problem>,
    found: BTreeMap<&'static str, Source>,
}

impl Resolver<'_> {
    /// A setting that has no file of its own.
    pub fn value<T>(&mut self, name: &'static str, options: Option<T>, file: Option<T>) -> Option<T> {
        let source = match (&options, &file) {
            (Some(_), _) => given(name, (self.sources.is_option)(name)),
            (None, Some(_)) => self.file(),
            (None, None) => Source::Default,
        };
        self.found.insert(name, source);
        options.or(file)
    }

    /// A secret, whose value may stand in a file.
    pub fn secret<T: FromSecretFile>(
        &mut self,
        (name, member): (&'static str, &'static str),
        options: Given<T>,
        file: Given<T>,
    ) -> Option<T> {
        let place = |named: &'static str| given(named, (self.sources.is_option)(named));
        let (given, is_given) = (options, (place(name), place(member)));
        let layers = [(given, is_given), (file, (self.file(), self.file()))];
        let credential = self.sources.credentials.as_ref().map(|folder| folder.join(name)).filter(|path| path.is_file());
        for (index, (layer, (of_value, of_file))) in layers.into_iter().enumerate() {
            // systemd's credentials are between the two.
            if let (1, Some(path)) = (index, &credential) {
                self.found.insert(name, Source::Credential(path.clone()));
                return self.read(name, path);
            }
            match (layer.value, layer.file) {
                (Some(_), Some(_)) => {
                    let problem = Problem::error(name, format!("is given twice: by {of_value} and by {of_file}"));
                    self.problems.push(problem.hint(format!("keep {member}, or {name}")));
                    return None;
                }
                (Some(value), None) => {
                    self.found.insert(name, of_value);
                    return Some(value);
                }
                (None, Some(path)) => {
                    self.found.insert(name, of_file);
                    return self.read(name, &path);
                }
                (None, None) => {}
            }
        }
        self.found.insert(name, Source::Default);
        None
    }

    /// A secret's file; one that isn't this command's business may be unreadable. All are the business of `config`.
    fn read<T: FromSecretFile>(&mut self, name: &'static str, path: &Path) -> Option<T> {
        match read_secret(path) {
            Ok(value) => Some(value),
            Err(reason) => {
                let command = self.sources.command;
                if command == "config" || Setting::find(name).is_none_or(|setting| setting.serves(command)) {
                    self.problems
                        .push(Problem::error(name, reason).hint("the file holds the value alone, and this user must be able to read it"));
                }
                None
            }
        }
    }

    fn file(&self) -> Source {
        Source::File(self.sources.file.map(Path::to_owned).unwrap_or_default())
    }
}

/// Settings of a file's text and of members given by environment, for tests.
#[cfg(test)]
pub(super) fn resolved(file: &str, options: &str, credentials: &[(&str, &str)]) -> (Config, Vec<Problem>) {
    let loaded = tests::load("config", file, options, credentials);
    (loaded.config, loaded.problems)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fs;

    pub fn load(command: &str, file: &str, options: &str, credentials: &[(&str, &str)]) -> Loaded {
        let mut problems = Vec::new();
        let file = Settings::read(file, &mut problems);
        let options = Settings::read(options, &mut problems);
        let folder = std::env::temp_dir().join(format!("nebula-credentials-{}", uuid::Uuid::now_v7()));
        fs::create_dir_all(&folder).unwrap();
        for (name, text) in credentials {
            fs::write(folder.join(name), text).unwrap();
        }
        let sources = Sources {
            command,
            file: Some(Path::new("nebula.toml")),
            credentials: Some(folder.clone()),
            is_option: &|name| name == "drain_seconds",
        };
        let loaded = Loaded::resolve(options, file, &sources, problems);
        fs::remove_dir_all(folder).unwrap();
        loaded
    }

    const URL: &str = "postgresql://e:hunter22@h/d";

    #[test]
    fn options_override_the_file_and_the_file_the_defaults_and_each_is_known_for_it() {
        let loaded = load("serve", "pool_size = 3\nmax_in_flight = 7", "pool_size = 5\ndrain_seconds = 8", &[]);
        let config = &loaded.config;
        assert_eq!((config.pool_size, config.max_in_flight, config.drain_seconds, config.pool_wait_ms), (5, 7, 8, 2_000));
        let source = |name: &str| loaded.sources[name].to_string();
        assert_eq!(
            [source("pool_size"), source("max_in_flight"), source("drain_seconds"), source("pool_wait_ms")],
            ["NEBULA_POOL_SIZE", "nebula.toml", "--drain-seconds", "default"]
        );
        assert!(loaded.problems.is_empty(), "{:?}", loaded.problems);
    }

    #[test]
    fn a_secret_is_taken_from_the_environment_then_a_credential_then_the_file() {
        let file = format!("database_url = \"{URL}-file\"");
        let reveal = |loaded: Loaded| loaded.config.database_url.unwrap().reveal().to_owned();
        let credentials: &[_] = &[("database_url", "postgresql://e@h/credential\n")];
        assert_eq!(reveal(load("serve", &file, "", &[])), format!("{URL}-file"));
        assert_eq!(reveal(load("serve", &file, "", credentials)), "postgresql://e@h/credential");
        assert_eq!(reveal(load("serve", &file, &format!("database_url = \"{URL}-variable\""), credentials)), format!("{URL}-variable"));
        assert!(load("serve", &file, "", credentials).sources["database_url"].to_string().ends_with("/database_url"));
    }

    #[test]
    fn a_secret_given_by_value_and_by_file_at_once_is_refused() {
        let loaded = load("serve", "", &format!("database_url = \"{URL}\"\ndatabase_url_file = \"/run/secrets/url\""), &[]);
        let [problem] = loaded.problems.as_slice() else { panic!("{:?}", loaded.problems) };
        assert_eq!(problem.message, "is given twice: by NEBULA_DATABASE_URL and by NEBULA_DATABASE_URL_FILE");
        assert!(loaded.into_config().is_err());
    }

    #[test]
    fn a_secret_file_that_a_command_does_not_need_may_be_unreadable() {
        let file = "admin_database_url_file = \"/nonexistent/admin\"";
        assert!(load("serve", file, "", &[]).into_config().is_ok());
        let refusal = load("migrate", file, "", &[]).into_config().unwrap_err().to_string();
        assert!(refusal.contains("admin_database_url") && refusal.contains("/nonexistent/admin"), "{refusal}");
    }

    #[test]
    fn nothing_that_is_shown_or_printed_holds_a_secret() {
        let loaded = load("serve", &format!("database_url = \"{URL}\"\nsealing_keys = \"1:hunter22\""), "", &[]);
        assert_eq!(loaded.config.sealing_keys.as_ref().unwrap().reveal(), "1:hunter22");
        assert!(!format!("{:?} {:?}", loaded.config, loaded.config.shown()).contains("hunter22"));
        assert!(!format!("{loaded:?}").contains("hunter22"));
    }
}
