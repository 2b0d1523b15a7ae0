//! `nebula.unexpose`: takes routes away.

use super::{
    action::suspend,
    dba::Dba,
    refused::{Refused, Result},
    registry::{remember, standing},
    run::begin,
};
use crate::kernel::{
    spi::{self, Arg},
    sql_caller::{OWNER, PLATFORM},
};
use nebula_core::route::Path;

/// `nebula.unexpose`: how many routes were taken away.
pub fn unexpose(action: Option<&str>, method: Option<&str>, path: Option<&str>) -> Result<i32> {
    let dba = Dba::current();
    begin()?;
    let gone = spi::as_role(PLATFORM, || {
        let found = match (action, method, path) {
            (Some(action), None, None) => standing("o.status = 'ativo' and o.action = $1", &[Arg::Text(action)]),
            (None, Some(method), Some(path)) => {
                let path = Path::parse(path).map_or_else(|_| path.to_owned(), |path| path.as_str().to_owned());
                standing("o.status = 'ativo' and o.method = $1 and o.path = $2", &[Arg::Text(method), Arg::Text(&path)])
            }
            _ => return Err(Refused::invalid("name an action, or a method and a path")),
        };
        for row in &found {
            if !dba.has_rights_of(&row.function_owner) {
                return Err(Refused::not_yours(format!("{} belongs to {}", row.signature, row.function_owner)));
            }
            spi::run(
                "update nebula.operation set status = 'suspenso', version = version + 1, grants_execute = false where id = $1",
                &[Arg::Uuid(row.id)],
            );
            remember(row.id, row.version + 1, "suspenso", &row.definition);
            if row.makes_action {
                suspend(&row.action);
            }
        }
        Ok(found)
    })?;
    for row in gone.iter().filter(|row| row.grants_execute) {
        for role in runners() {
            dba.withdraw(&row.signature, &role);
        }
    }
    if !gone.is_empty() {
        spi::run("select pg_catalog.pg_notify('nebula_changed', '')", &[]);
    }
    Ok(i32::try_from(gone.len()).unwrap_or(i32::MAX))
}

/// The roles that functions may have been exposed for.
fn runners() -> Vec<String> {
    spi::as_role(OWNER, || {
        spi::rows("select rolname::text from pg_roles where rolname in ('authenticated', 'nebula_app')", &[], |row| row.text(1))
            .into_iter()
            .flatten()
            .collect()
    })
}
