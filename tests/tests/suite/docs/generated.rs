//! Pages that the program makes: what is committed is what the running system says and does. `make docs` writes them anew.

use super::root;
use nebula_tests::{
    Database, Handle, Route, World, catalog,
    cluster::nebula_program,
    previous, routes,
    world::{Actor, SOLD_ACTION, sell_notes},
};
use serde_json::Value;
use std::{collections::BTreeMap, fmt::Write, fs, process::Command};

/// Holds a page against what was made now, or writes it where `NEBULA_WRITE_DOCS` is set.
#[track_caller]
pub fn holds(page: &str, made: &str) {
    let path = root().join(page);
    if std::env::var_os("NEBULA_WRITE_DOCS").is_some() {
        fs::write(path, made).unwrap();
        return;
    }
    let committed = fs::read_to_string(path).unwrap_or_default();
    let differs = committed.lines().zip(made.lines()).position(|(committed, made)| committed != made);
    let line = differs.unwrap_or_else(|| committed.lines().count().min(made.lines().count()));
    assert!(
        committed == made,
        "{page} is not what the program makes, from line {}: run `make docs` and commit it\ncommitted: {}\nmade now:  {}",
        line + 1,
        committed.lines().nth(line).unwrap_or_default(),
        made.lines().nth(line).unwrap_or_default(),
    );
}

#[test]
fn the_openapi_document_is_the_programs() {
    let document: Value = serde_json::from_str(&Database::new().text("select nebula.openapi()::text", &[])).unwrap();
    holds("docs/openapi.json", &(serde_json::to_string_pretty(&document).unwrap() + "\n"));
}

#[test]
fn the_tables_of_a_new_installation_are_the_committed_ones() {
    // Other versions of pg_dump write the same differently.
    if previous::runs_here() {
        holds("docs/schema.sql", &catalog::schema(&Database::new()));
    }
}

/// What the program prints about itself.
fn printed(arguments: &[&str]) -> String {
    let output = Command::new(nebula_program()).args(arguments).env_clear().output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_reference_of_settings_is_the_programs() {
    holds("docs/operations/nebula.toml", &printed(&["config", "reference"]));
    holds("docs/operations/configuration.md", &printed(&["config", "reference", "--markdown"]));
}

#[test]
fn the_list_of_commands_is_the_programs() {
    let head = "# Commands\n\nMade by `make docs` from the program. What they have in common: [cli.md](cli.md).\n\n";
    holds("docs/operations/commands.md", &format!("{head}{}", printed(&["man", "--markdown"])));
}

/// The name of an area of rules.
fn area(number: &str) -> &'static str {
    match &number[..2] {
        "01" => "Row-level security of the application's tables",
        "02" => "Views and functions of the application",
        "03" => "Keys, indexes and upkeep",
        "04" => "Privileges of callers",
        "05" => "Nebula's own objects",
        "06" => "Nebula's rows",
        "07" => "The server",
        "08" => "Protected tables and exposed functions",
        _ => panic!("{number} has no area: name it"),
    }
}

/// Each rule's file begins with what it is for.
#[test]
fn the_table_of_the_doctors_rules_is_the_programs() {
    let rules: Value = serde_json::from_str(&Database::new().text("select nebula.doctor_rules()::text", &[])).unwrap();
    let mut page = String::from(
        "# Rules of the doctor\n\nMade by `make docs` from `sql/doctor`, where each rule is a query. How to ask them: [doctor.md](doctor.md).\n",
    );
    let mut last = "";
    for rule in rules.as_array().unwrap() {
        let text = |member: &str| rule[member].as_str().unwrap();
        if area(text("number")) != last {
            last = area(text("number"));
            write!(page, "\n## {last}\n\n| | rule | severity | |\n|---|---|---|---|\n").unwrap();
        }
        let about = text("sql").lines().map_while(|line| line.strip_prefix("-- ")).collect::<Vec<_>>().join(" ");
        writeln!(page, "| {} | `{}` | {} | {about} |", text("number"), text("rule"), text("severity")).unwrap();
    }
    holds("docs/doctor-rules.md", &page);
}

/// Who a column of the table is.
struct Column {
    head: &'static str,
    actor: Actor,
}

/// What each kind of caller may do in this tenant, by operation.
fn observe(world: &World, database: &Database, handle: &mut Handle, routes: &[Route]) -> Vec<(Route, Vec<bool>)> {
    let groups = ["ADM_CLIENTE", "OPERATOR", "VIEWER"].map(|group| {
        let found =
            database.superuser().query_one("select id from nebula.group where tenant_id = $1 and name = $2", &[&world.tenant, &group]);
        Column { head: group, actor: world.person_in(database, handle, &group.to_lowercase(), found.unwrap().get(0)) }
    });
    let keys = ["admin", "write", "read-only"].map(|profile| Column { head: profile, actor: world.key_with(handle, profile) });
    let columns = groups.into_iter().chain(keys).collect::<Vec<_>>();
    let may = |handle: &mut Handle, route: &Route, column: &Column| {
        let answer = world.tries(handle, &column.actor, route, &world.input(&route.operation));
        match (answer.status, answer.code()) {
            (200..=299, _) => true,
            (403, "FORBIDDEN_ACTION") => false,
            _ => panic!("{} as {}: {answer:?}", route.operation, column.head),
        }
    };
    routes.iter().map(|route| (route.clone(), columns.iter().map(|column| may(handle, route, column)).collect())).collect()
}

fn rows(page: &mut String, observed: &[(Route, Vec<bool>)]) {
    page.push_str("| permission | operation | scope | kind | ADM_CLIENTE | OPERATOR | VIEWER | key admin | key write | key read-only |\n|---|---|---|---|---|---|---|---|---|---|\n");
    for (route, may) in observed {
        let cells = may.iter().map(|may| if *may { "yes" } else { "–" }).collect::<Vec<_>>().join(" | ");
        let scope = if route.is_own() { "self" } else { &route.scope };
        writeln!(page, "| `{}` | `{} {}` | {scope} | {} | {cells} |", route.operation, route.method, route.path, route.kind).unwrap();
    }
}

/// What hands an action on to somebody: they need to hold it, beside their own permission. In these tests it is [`SOLD_ACTION`].
const HAND_ON: [&str; 4] = ["groups.permissions.grant", "groups.members.add", "api_keys.create", "api_keys.rotate"];

/// Every operation with every permission removed, one at a time: it is refused exactly where its own is missing.
fn hold_the_matrix(world: &World, database: &Database, handle: &mut Handle, routes: &[Route]) -> usize {
    let mut superuser = database.superuser();
    let held = superuser
        .query(
            "select distinct a.key from nebula.tenant_package tp join nebula.package_action pa on pa.package_id = tp.package_id \
             join nebula.tool_action a on a.id = pa.tool_action_id where tp.tenant_id = $1 order by 1",
            &[&world.tenant],
        )
        .unwrap();
    let held = held.iter().map(|row| row.get(0)).collect::<Vec<String>>();
    let (actor, group) = world.person_with(database, handle, "matriz", &held);
    let mut cells = 0;
    let mut wrong = Vec::new();
    for removed in held.iter().map(Some).chain([None]) {
        let of_removed = "gp.group_id = $1 and gp.tool_action_id = (select id from nebula.tool_action where key = $2)";
        if let Some(removed) = removed {
            assert_eq!(
                superuser.execute(&format!("delete from nebula.group_permission gp where {of_removed}"), &[&group, removed]).unwrap(),
                1
            );
        }
        for route in routes {
            let answer = world.tries(handle, &actor, route, &world.input(&route.operation));
            let is_removed = removed.is_some_and(|removed| *removed == route.operation);
            let is_held = held.contains(&route.operation) && !is_removed && (route.scope != "platform" || world.slug == "platform");
            let details = &answer.body["error"]["details"];
            let is_expected = if removed.is_some_and(|removed| removed == SOLD_ACTION) && HAND_ON.contains(&route.operation.as_str()) {
                is_held == (details["condition"] == "not_held_by_grantor" && details["toolAction"] == SOLD_ACTION)
            } else if is_held || route.is_own() {
                answer.status == i32::from(route.success)
            } else {
                answer.code() == "FORBIDDEN_ACTION" && details["toolAction"] == route.operation.as_str()
            };
            cells += 1;
            if !is_expected {
                wrong.push(format!("{} without {removed:?}: {} {}", route.operation, answer.status, answer.text));
            }
        }
        if let Some(removed) = removed {
            let given_back = "insert into nebula.group_permission (tenant_id, group_id, tool_action_id) \
                              select $1, $2, id from nebula.tool_action where key = $3";
            superuser.execute(given_back, &[&world.tenant, &group, removed]).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{} of {cells}: {wrong:#?}", wrong.len());
    cells
}

#[test]
fn the_table_of_permissions_is_what_the_running_system_does() {
    let database = Database::new();
    let mut handle = database.handle();
    sell_notes(&database, &mut handle);
    let protected = routes(&database).into_iter().filter(|route| route.scope != "public").collect::<Vec<_>>();
    let mut page = String::from(
        "# Permissions\n\n\
         Made by `make docs` from what the running system did, and held against it by `docs::generated` at every `make test`. Each operation was tried by each kind of\n\
         caller, and by a person who holds everything but one permission, for every permission in turn: it is refused exactly when its own is the one that is missing, or when it would hand on an action that the caller doesn't hold.\n\n\
         The permission of an operation is its action key. Operations of scope `self` are about the caller: a person needs no permission for them, and a service account has\n\
         no name, password or sessions of its own. Operations of scope `platform` are for the platform's own tenant, whoever holds them elsewhere.\n\n",
    );
    let mut cells = BTreeMap::new();
    let worlds = [
        ("A customer with the package `pro`", World::of_customer(&database, &mut handle, "acme")),
        ("The platform", World::of_platform(&database, &mut handle)),
    ];
    for (title, world) in &worlds {
        // Thousands of requests in a minute are this test's business.
        database.raise_limits(world.tenant);
        writeln!(page, "## {title}\n").unwrap();
        rows(&mut page, &observe(world, &database, &mut handle, &protected));
        page.push('\n');
        cells.insert(title, hold_the_matrix(world, &database, &mut handle, &protected));
    }
    assert!(cells.values().all(|cells| *cells > 3000), "{cells:?}");
    holds("docs/permissions.md", &page);
}
