//! What a composition does with a database and with secrets: packaging/container.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use nebula_tests::{cluster::postgres_program, supabase};
use sha2::Sha256;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// A folder that is a checkout as far as the script for secrets goes; removed with the value.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let place = std::env::temp_dir().join(format!("nebula-containers-{name}-{}", std::process::id()));
        fs::create_dir_all(place.join("packaging/container")).unwrap();
        fs::copy(checkout().join("packaging/container/secrets.sh"), place.join("packaging/container/secrets.sh")).unwrap();
        Self(place)
    }

    fn make(&self, kind: &[&str]) -> std::process::Output {
        Command::new("bash").arg(self.0.join("packaging/container/secrets.sh")).args(kind).output().unwrap()
    }

    /// The variables of each file.
    fn files(&self, kind: &str) -> BTreeMap<String, BTreeMap<String, String>> {
        let folder = self.0.join(".nebula/compose").join(kind);
        let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).map(|path| {
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
            let text = fs::read_to_string(&path).unwrap();
            let variables = text.lines().map(|line| line.split_once('=').unwrap()).map(|(name, value)| (name.to_owned(), value.to_owned()));
            (path.file_stem().unwrap().to_str().unwrap().to_owned(), variables.collect())
        });
        files.collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The files of secrets that a composition names.
fn named(composition: &str, kind: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(checkout().join(composition)).unwrap();
    let prefix = format!("env_file: .nebula/compose/{kind}/");
    text.lines().filter_map(|line| line.trim().strip_prefix(&prefix)?.strip_suffix(".env").map(str::to_owned)).collect()
}

fn password(url: &str) -> String {
    url.split_once("://").unwrap().1.split_once('@').unwrap().0.split_once(':').unwrap().1.to_owned()
}

#[test]
fn each_service_finds_its_secrets_and_none_of_anothers() {
    for (composition, kind, arguments) in [("compose.yaml", "alone", &[][..]), ("compose.supabase.yaml", "supabase", &["supabase"][..])] {
        let place = Place::new(kind);
        let made = place.make(arguments);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let files = place.files(kind);
        let services = files.keys().filter(|name| *name != "client").cloned().collect::<BTreeSet<_>>();
        assert_eq!(named(composition, kind), services);
        // The password of each of Nebula's logins: with its service and with who sets it, nowhere else.
        for (service, url) in [("edge", "NEBULA_DATABASE_URL"), ("worker", "NEBULA_WORKER_DATABASE_URL")] {
            let secret = password(&files[service][url]);
            assert_eq!(secret.len(), 48);
            let holders = files.iter().filter(|(_, variables)| variables.values().any(|value| value.contains(&secret)));
            assert_eq!(
                holders.map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
                [service, "setup"].into_iter().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>()
            );
            assert_eq!(files["setup"][&format!("NEBULA_{}_PASSWORD", service.to_uppercase())], secret);
        }
        let superusers = password(&files["admin"]["NEBULA_ADMIN_DATABASE_URL"]);
        for service in ["edge", "worker", "auth", "rest", "meta"] {
            let holds = files.get(service).is_some_and(|variables| variables.values().any(|value| value.contains(&superusers)));
            assert!(!holds, "{service} has the superuser's password");
        }
        // Nothing is replaced by a second run.
        let again = place.make(arguments);
        assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("is there already"));
        assert_eq!(place.files(kind), files);
    }
}

#[test]
fn supabases_keys_are_signed_with_the_secret_that_its_services_have() {
    let place = Place::new("keys");
    assert!(place.make(&["supabase"]).status.success());
    let files = place.files("supabase");
    let secret = &files["auth"]["GOTRUE_JWT_SECRET"];
    for holder in [("rest", "PGRST_JWT_SECRET"), ("setup", "NEBULA_AUTH_SECRET"), ("db", "JWT_SECRET"), ("studio", "AUTH_JWT_SECRET")] {
        assert_eq!(&files[holder.0][holder.1], secret, "{holder:?}");
    }
    for (variable, role) in [("SUPABASE_ANON_KEY", "anon"), ("SUPABASE_SERVICE_ROLE_KEY", "service_role")] {
        let (signed, signature) = files["client"][variable].rsplit_once('.').unwrap();
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(signed.as_bytes());
        mac.verify_slice(&URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
        let claims = URL_SAFE_NO_PAD.decode(signed.split('.').nth(1).unwrap()).unwrap();
        let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!((claims["role"].as_str(), claims["iss"].as_str()), (Some(role), Some("supabase")));
    }
}

#[test]
fn the_setup_does_its_work_as_postgres_and_a_second_time_changes_nothing() {
    let database = supabase::empty();
    let setup = || {
        let output = Command::new(postgres_program("psql"))
            .args(["-X", "-h", "127.0.0.1", "-p", &database.installation.cluster.port.to_string(), "-U", "postgres", "-d", &database.name])
            .args(["-At", "-f", checkout().join("packaging/container/setup.sql").to_str().unwrap()])
            .env("NEBULA_EDGE_PASSWORD", "canary-of-the-edge")
            .env("NEBULA_WORKER_PASSWORD", "canary-of-the-worker")
            .env("NEBULA_KEYS_PASSWORD", "canary-of-the-keys")
            .env("NEBULA_AUTH_ISSUER", "http://localhost:8000/auth/v1")
            .env("NEBULA_AUTH_SECRET", "canary-of-auth-with-at-least-32-characters")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        assert!(!said.contains("canary"), "{said}");
        said
    };
    let first = setup();
    assert!(first.contains("\"applied\": [1") || first.contains("\"applied\":[1"), "{first}");
    let second = setup();
    assert!(second.contains("\"applied\": []") || second.contains("\"applied\":[]"), "{second}");
    let passwords = "select count(*) from pg_authid where rolname in ('nebula_edge', 'nebula_worker', 'nebula_keys') and rolpassword like 'SCRAM-SHA-256$%'";
    assert_eq!(database.number(passwords, &[]), 3);
    let issuers = database.text("select nebula.issuer_state()::text", &[]);
    assert!(issuers.contains("http://localhost:8000/auth/v1"), "{issuers}");
    assert_eq!(database.text("select (nebula.readiness() ->> 'ready')", &[]), "true");
    assert!(!database.installation.cluster.log().contains("canary-of"));
}

/// What stands behind each occurrence of a text, up to what can't be part of a version.
fn versions_behind(file: &str, before: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(checkout().join(file)).unwrap();
    let version = |rest: &str| rest.chars().take_while(|letter| letter.is_ascii_digit() || *letter == '.').collect::<String>();
    let found = text.split(before).skip(1).map(version).filter(|version| !version.is_empty()).collect::<BTreeSet<_>>();
    assert!(!found.is_empty(), "{file} has no `{before}`");
    found
}

#[test]
fn images_compositions_and_manifests_are_of_this_release_and_this_toolchain() {
    let release = BTreeSet::from([env!("CARGO_PKG_VERSION").to_owned()]);
    for (file, before) in [
        ("Dockerfile", "ARG VERSION="),
        ("compose.yaml", "image: nebula-edge:"),
        ("compose.yaml", "image: nebula-postgres:"),
        ("compose.supabase.yaml", "image: nebula-edge:"),
        ("compose.supabase.yaml", "image: nebula-supabase:"),
        ("docs/operations/kubernetes/kustomization.yaml", "newTag: "),
    ] {
        assert_eq!(versions_behind(file, before), release, "{file}: {before}");
    }
    let job = format!("nebula-migrate-{}", env!("CARGO_PKG_VERSION").replace('.', "-"));
    assert!(fs::read_to_string(checkout().join("docs/operations/kubernetes/migrate.yaml")).unwrap().contains(&job));
    let toolchain = versions_behind("rust-toolchain.toml", "channel = \"");
    for (file, before) in
        [("Dockerfile", "RUST_IMAGE=rust:"), ("Dockerfile", "RUSTUP_TOOLCHAIN="), (".github/workflows/test.yml", "image: rust:")]
    {
        assert_eq!(versions_behind(file, before), toolchain, "{file}: {before}");
    }
}
