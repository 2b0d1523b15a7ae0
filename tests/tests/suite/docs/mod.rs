//! The documents: their examples are run in the order of the page, and their tables of routes and errors are compared with the program.
//!
//! What runs is a fence marked `bash`, `sql` or `js`; what doesn't says why not. See "Documents" in CONTRIBUTING.md.

mod coverage;
mod fences;
mod generated;
mod guides;
mod links;

use fences::{Language, that_run};
use nebula_core::error::Code;
use nebula_tests::{
    Database,
    cluster::{nebula_program, postgres_program},
};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

macro_rules! pages {
    ($($test:ident: $page:literal;)*) => {
        /// Pages with a test of their own.
        const PAGES: &[&str] = &[$($page,)*];
        $(#[test]
        fn $test() {
            run($page);
        })*
    };
}

pages! {
    readme: "README.md";
    readme_in_portuguese: "README.pt-BR.md";
    operations: "docs/operations.md";
    sql: "docs/sql.md";
}

/// In a database of Supabase's in which nothing of ours is yet, as its `postgres`.
#[test]
fn supabase() {
    let database = nebula_tests::supabase::empty();
    run_in(SUPABASE, &database, "", &[]);
}

/// A page whose examples run elsewhere than the others'.
const SUPABASE: &str = "docs/supabase.md";

/// Decisions, and pages that are added: whatever has examples and no test of its own.
#[test]
fn every_other_page() {
    let has_none_of_its_own = |page: &&String| !PAGES.contains(&page.as_str()) && page.as_str() != SUPABASE && !guides::runs(page);
    for page in walk().iter().filter(has_none_of_its_own).filter(|page| !that_run(page).is_empty()) {
        run(page);
    }
}

#[test]
fn pages_and_their_examples_are_found() {
    let pages = walk();
    for page in PAGES {
        assert!(pages.contains(*page), "{page} is not among {pages:?}");
    }
    for page in ["docs/architecture.md", "docs/decisions/0001-pgrx-version.md", "docs/edge-protocol.md", "docs/security.md"] {
        assert!(pages.contains(page), "{page} is not among {pages:?}");
    }
    for page in PAGES {
        let least = if page.starts_with("README") { 2 } else { 1 };
        assert!(that_run(page).len() >= least, "{page} has fewer than {least} examples that run");
    }
    let languages = |page| that_run(page).into_iter().map(|(language, _)| language).collect::<BTreeSet<_>>();
    assert_eq!(languages("README.md"), BTreeSet::from([Language::Bash, Language::Sql]));
    assert_eq!(languages("README.pt-BR.md"), languages("README.md"));
}

#[test]
fn tests_that_the_security_model_names_exist() {
    for [_, test] in table("docs/security.md", "## Where it is tested", "| promise | test ") {
        let mut path = unquoted(&test).split("::").collect::<Vec<_>>();
        let name = path.pop().unwrap();
        let file = format!("tests/tests/suite/{}.rs", path.join("/"));
        assert!(read(&file).contains(&format!("#[test]\nfn {name}()")), "{file} has no test {name}");
    }
}

#[test]
fn the_table_of_errors_is_the_programs() {
    let mut documented = Vec::new();
    for [codes, status, _] in table("docs/api.md", "## Errors", "| code | HTTP |") {
        documented.extend(codes.split(", ").map(|code| (unquoted(code).to_owned(), status.parse::<u16>().unwrap())));
    }
    let known = Code::ALL.iter().map(|code| (code.as_str().to_owned(), code.status())).collect::<Vec<_>>();
    assert_eq!(documented, known);
}

#[test]
fn the_table_of_routes_is_the_programs() {
    let documented = table("docs/api.md", "## Routes", "| method and path |")
        .into_iter()
        .map(|[route, action, kind, scope, success]| {
            // "self" is a tenant's operation that a person needs no grant for; the program tells only the page's reader so.
            assert_eq!(scope == "self", action.starts_with("`me."), "{action}");
            let scope = if scope == "self" { "tenant".to_owned() } else { scope };
            [unquoted(&route).to_owned(), unquoted(&action).to_owned(), kind, scope, success]
        })
        .collect::<Vec<_>>();
    let unique = documented.iter().cloned().collect::<BTreeSet<_>>();
    assert_eq!(unique.len(), documented.len(), "a route stands twice");
    let routes: Value = serde_json::from_str(&Database::new().text("select nebula.routes()::text", &[])).unwrap();
    let text = |route: &Value, member: &str| route[member].as_str().unwrap_or_else(|| panic!("no {member} in {route}")).to_owned();
    let served = routes.as_array().unwrap().iter().map(|route| {
        let path = format!("{} {}", text(route, "method"), text(route, "path"));
        [path, text(route, "operation"), text(route, "kind"), text(route, "scope"), route["success"].to_string()]
    });
    let served = served.collect::<BTreeSet<_>>();
    assert!(!served.is_empty());
    let only = |left: &BTreeSet<[String; 5]>, right: &BTreeSet<[String; 5]>| left.difference(right).cloned().collect::<Vec<_>>();
    assert_eq!((only(&unique, &served), only(&served, &unique)), (vec![], vec![]), "(only documented, only served)");
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn read(page: &str) -> String {
    fs::read_to_string(root().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"))
}

/// Both READMEs and every page under `docs/`, by their paths in the repository.
fn walk() -> BTreeSet<String> {
    let mut pages = BTreeSet::from(["README.md".to_owned(), "README.pt-BR.md".to_owned()]);
    let mut folders = vec![root().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.insert(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    pages
}

/// The cells of the rows of the first table with this head after this heading.
fn table<const COLUMNS: usize>(page: &str, heading: &str, head: &str) -> Vec<[String; COLUMNS]> {
    let text = read(page);
    let rows = text
        .lines()
        .skip_while(|line| *line != heading)
        .skip_while(|line| !line.starts_with(head))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells = line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
            cells.try_into().unwrap_or_else(|cells| panic!("{page}: {COLUMNS} columns are expected in {cells:?}"))
        })
        .collect::<Vec<_>>();
    assert!(!rows.is_empty(), "{page} has no table \"{head}\" under \"{heading}\"");
    rows
}

fn unquoted(cell: &str) -> &str {
    cell.strip_prefix('`').and_then(|cell| cell.strip_suffix('`')).unwrap_or_else(|| panic!("{cell} is not `quoted`"))
}

/// A folder like a checkout after `make up`; removed with the value.
struct Checkout {
    dir: PathBuf,
}

impl Drop for Checkout {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// What Node is started with.
fn node_options() -> String {
    format!("--require {}", root().join("tests/js/websocket.cjs").display())
}

/// Runs a page's examples in their order: those in bash in one shell, each of those in SQL by a psql of its own.
#[track_caller]
fn run(page: &str) {
    let database = Database::new();
    let edge = database.serve();
    run_in(page, &database, &edge.base, &[]);
}

/// The same in a database that may be another, with the address of its edge and further variables.
#[track_caller]
fn run_in(page: &str, database: &Database, edge: &str, variables: &[(&str, String)]) {
    let cluster = &database.installation.cluster;
    let checkout = Checkout { dir: cluster.dir.join(format!("page-{}", database.name)) };
    fs::create_dir_all(checkout.dir.join(".nebula")).unwrap();
    let environment = [
        ("NEBULA_URL", edge.to_owned()),
        ("NEBULA_OPERATOR_KEY", database.installation.operator_key.clone()),
        ("NEBULA_DATABASE_URL", database.url("nebula_edge")),
        ("NEBULA_ADMIN_DATABASE_URL", database.url("postgres")),
        ("NEBULA_KEYS_DIR", database.installation.keys_dir.display().to_string()),
        ("NEBULA_STORAGE_URL", format!("file://{}", checkout.dir.join("storage").display())),
        ("CHECKOUT", root().display().to_string()),
        ("PGHOST", "127.0.0.1".to_owned()),
        ("PGPORT", cluster.port.to_string()),
        ("PGDATABASE", database.name.clone()),
        ("PGUSER", "postgres".to_owned()),
    ];
    let environment = [&environment, variables].concat();
    // Where packages are that the page's programs import.
    std::os::unix::fs::symlink(root().join("target/js/node_modules"), checkout.dir.join("node_modules")).unwrap();
    let exports = environment.iter().map(|(name, value)| format!("export {name}='{value}'\n")).collect::<String>();
    fs::write(checkout.dir.join(".nebula/env"), exports).unwrap();

    let fences = that_run(page);
    assert!(!fences.is_empty(), "{page} has no examples");
    // What was begun last is in a file: the output may hold anything.
    let mut script = "exec 2>&1\n".to_owned();
    for (number, (language, fence)) in fences.iter().enumerate() {
        let (extension, command) = match language {
            Language::Bash => ("bash", "source"),
            Language::Js => ("mjs", "node"),
            Language::Sql => ("sql", "psql -X -v ON_ERROR_STOP=1 -f"),
        };
        let file = format!("fence-{number}.{extension}");
        fs::write(checkout.dir.join(&file), &fence.text).unwrap();
        writeln!(script, "echo {number} >begun; {command} ./{file}").unwrap();
    }
    writeln!(script, "echo {} >begun", fences.len()).unwrap();

    let (psql, nebula) = (postgres_program("psql"), nebula_program());
    let programs = [psql.parent().unwrap(), nebula.parent().unwrap()].map(|folder| folder.display().to_string()).join(":");
    let path = format!("{programs}:{}", std::env::var("PATH").unwrap_or_default());
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &script])
        .env_clear()
        .env("PATH", path)
        .env("LC_ALL", "C.UTF-8")
        .env("HOME", &checkout.dir)
        .env("NODE_OPTIONS", node_options())
        .envs(environment)
        .current_dir(&checkout.dir)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let begun = fs::read_to_string(checkout.dir.join("begun")).unwrap_or_default();
    let begun = begun.trim().parse::<usize>().unwrap_or(0);
    if let Some((_, fence)) = fences.get(begun) {
        panic!("{page}:{}: the example failed ({})\n{}\nthe page's output so far:\n{text}", fence.line, output.status, fence.text);
    }
    assert!(output.status.success(), "{page}: {}\n{text}", output.status);
}
