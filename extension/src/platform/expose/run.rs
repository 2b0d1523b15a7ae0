//! `nebula.expose`: makes a function an operation.

use super::{
    action,
    dba::Dba,
    definition::{self, Definition, Wanted},
    refused::{Refused, Result},
    registry,
};
use crate::kernel::{
    custom_operation::{self, Options},
    exposed_function::{self, Function},
    migrate,
    spi::{self, Arg},
    sql_caller::{OWNER, PLATFORM},
};
use pgrx::PgSqlErrorCode;
use serde_json::{Value, json};
use uuid::Uuid;

/// One at a time: what is checked must still be true when it is written.
pub fn begin() -> Result<()> {
    if spi::as_role(OWNER, migrate::require_current).is_err() {
        return Err(Refused {
            state: PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            ..Refused::invalid("the tables are older than the library")
        }
        .hint("select nebula.migrate();"));
    }
    spi::advisory_lock("nebula/expose");
    Ok(())
}

/// `nebula.expose`: the route as JSON.
pub fn expose(wanted: &Wanted) -> Result<Value> {
    let dba = Dba::current();
    begin()?;
    let definition = definition::define(wanted)?;
    let function = spi::as_role(OWNER, || {
        let found = spi::first(
            "select p.proname::text, p.oid::regprocedure::text, owner.rolname::text from pg_proc p join pg_roles owner on owner.oid = p.proowner where p.oid = $1::oid",
            &[Arg::Text(&wanted.function.to_string())],
            |row| [row.text(1), row.text(2), row.text(3)].map(Option::unwrap_or_default),
        );
        let Some([name, signature, owner]) = found else { return Err(Refused::invalid("there is no such function")) };
        if !dba.has_rights_of(&owner) {
            return Err(Refused::not_yours(format!("{signature} belongs to {owner}"))
                .hint("A function is exposed by its owner, or by a superuser."));
        }
        Ok(exposed_function::examine(&name, &signature)?)
    })?;
    definition::check_parameters(&definition, &function)?;
    let options = definition::options(wanted, &definition, &function)?;
    let (id, grants) = spi::as_role(PLATFORM, || -> Result<_> {
        definition::check_route(&definition)?;
        let made_action = action::ensure_action(wanted, &definition, &options)?;
        Ok(registry::write(&definition, &function, &options, made_action))
    })?;
    if let Some(role) = grants.give {
        dba.run(&format!("grant execute on function {} to {}", function.signature, spi::quote_identifier(&role)));
    }
    if let Some(signature) = grants.take {
        dba.withdraw(&signature, &function.runner);
    }
    spi::run("select pg_catalog.pg_notify('nebula_changed', '')", &[]);
    Ok(describe(&id, &definition, &function, &options))
}

fn describe(id: &(Uuid, i32), definition: &Definition, function: &Function, options: &Options) -> Value {
    json!({
        "id": id.0, "operation": custom_operation::operation_id(definition.action.as_str(), definition.path.version), "action": definition.action.as_str(),
        "method": definition.method.as_str(), "path": definition.path.as_str(), "kind": definition.kind.as_str(), "success": options.success,
        "function": function.signature, "runsAs": function.runner, "version": id.1,
    })
}
