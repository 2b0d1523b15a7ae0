//! `nebula.prove_isolation()`: makes two tenants that never exist for anybody else, tries from the one what must not reach the other, and takes everything back.
//!
//! What is tried is `sql/functions/prover.sql`. Here is what SQL can't do: be somebody of a tenant without a credential (`kernel::canary`), as a role, for one statement.

use crate::kernel::{
    canary::{self, Canaries, Canary},
    spi::{self, Arg},
    sql_caller::PLATFORM,
};
use pgrx::{PgSqlErrorCode, ereport};
use serde_json::{Value, json};
use std::{cell::RefCell, ffi::CString};
use uuid::Uuid;

thread_local! {
    /// What the last run has found: it outlives the subtransaction that is rolled back.
    static PROOF: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs one statement inside of a subtransaction that is always taken back, or kept, and tells how it ended.
const ATTEMPT: &str = include_str!("prover_attempt.sql");

/// Makes the canaries, has everything tried, and raises: nothing of a run is ever committed, whoever began it.
pub fn run(options: &Value) {
    PROOF.set(None);
    let canaries = Canaries { a: new_canary(), b: new_canary() };
    let Some(running) = canary::begin(canaries) else {
        ereport!(ERROR, PgSqlErrorCode::ERRCODE_OBJECT_IN_USE, "the prover is running already");
    };
    let logins = spi::as_role(PLATFORM, || {
        make(&canaries.a);
        make(&canaries.b);
        spi::rows("select role_name::text from nebula.role_binding order by 1", &[], |row| row.text(1))
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
    });
    let told = json!({ "a": describe(&canaries.a), "b": describe(&canaries.b), "logins": logins, "options": options }).to_string();
    let proof = spi::text("select nebula.prover_attempts($1::json)::text", &[Arg::Text(&told)]);
    drop(running);
    PROOF.set(proof);
    ereport!(ERROR, PgSqlErrorCode::ERRCODE_INVALID_TRANSACTION_TERMINATION, "the prover takes back what it did");
}

/// What the last run has found, once.
#[must_use]
pub fn proof() -> Option<String> {
    PROOF.take()
}

fn new_canary() -> Canary {
    Canary { tenant: Uuid::now_v7(), user: Uuid::now_v7(), group: Uuid::now_v7() }
}

/// What a canary's rows are recognised by, wherever they appear.
fn marker(canary: &Canary) -> String {
    format!("canary-{}", canary.tenant.simple())
}

fn describe(canary: &Canary) -> Value {
    json!({ "tenant": canary.tenant, "user": canary.user, "group": canary.group, "marker": marker(canary) })
}

/// A tenant with everything that is sold, and a person in a group that may do all of it.
fn make(canary: &Canary) {
    let Canary { tenant, user, group } = *canary;
    let marker = marker(canary);
    let email = format!("{marker}@canary.invalid");
    spi::run("insert into nebula.tenant (id, slug, name) values ($1, $2, $2)", &[Arg::Uuid(tenant), Arg::Text(&marker)]);
    let person = [Arg::Uuid(tenant), Arg::Uuid(user), Arg::Text(&email), Arg::Text(&marker)];
    spi::run("insert into nebula.user (tenant_id, id, email, name) values ($1, $2, $3, $4)", &person);
    let named = [Arg::Uuid(tenant), Arg::Uuid(group), Arg::Text(&marker)];
    spi::run("insert into nebula.group (tenant_id, id, name) values ($1, $2, $3)", &named);
    let both = [Arg::Uuid(tenant), Arg::Uuid(user), Arg::Uuid(group)];
    spi::run("insert into nebula.user_group (tenant_id, user_id, group_id) values ($1, $2, $3)", &both);
    let every = [Arg::Uuid(tenant), Arg::Uuid(group)];
    spi::run("insert into nebula.group_permission (tenant_id, group_id, tool_action_id) select $1, $2, id from nebula.tool_action", &every);
    // Enabled one by one: an action may be in no package.
    let sold = "insert into nebula.tenant_tool_override (tenant_id, tool_action_id, flags) select $1, id, '{\"enabled\": true}' from nebula.tool_action";
    spi::run(sold, &[Arg::Uuid(tenant)]);
}

/// Runs a statement as `a`, `b` or `nobody`, under a role: `{"state", "rows", "seen", "constraint"}`. Only while a run of this session asks, never from within an attempt, and
/// only under roles that the session's login may become.
pub fn attempt(who: &str, role: &str, mode: &str, statement: &str) -> String {
    // This function pins no search path, since what it tries has its caller's.
    let may = "select nebula.prover_may_become(r.oid)::text from pg_catalog.pg_roles r where r.rolname operator(pg_catalog.=) $1";
    let may = spi::text(may, &[Arg::Text(role)]);
    let (Some(_acting), Some("true"), Ok(role)) = (canary::act_as(who), may.as_deref(), CString::new(role)) else {
        ereport!(ERROR, PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE, "only the isolation prover tries things, as one of its canaries");
    };
    spi::as_role(&role, || {
        let set = "select pg_catalog.set_config('nebula.prover_mode', $1, true), pg_catalog.set_config('nebula.prover_statement', $2, true), \
                     pg_catalog.set_config('nebula.prover_outcome', '', true)";
        spi::run(set, &[Arg::Text(mode), Arg::Text(statement)]);
        spi::run(ATTEMPT, &[]);
        spi::setting(c"nebula.prover_outcome").unwrap_or_default()
    })
}
