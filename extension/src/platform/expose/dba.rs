//! Who exposes: their rights decide, and what is granted is granted with them.

use crate::kernel::{
    spi::{self, Arg},
    sql_caller::{OWNER, PLATFORM},
};
use std::ffi::CString;

/// Who calls: the current role, before any change of it.
pub struct Dba {
    oid: String,
    name: CString,
}

impl Dba {
    #[must_use]
    pub fn current() -> Self {
        let oid = spi::current_user_id().to_string();
        let name = spi::as_role(OWNER, || spi::text("select rolname::text from pg_roles where oid = $1::oid", &[Arg::Text(&oid)]));
        Self { name: name.and_then(|name| CString::new(name).ok()).unwrap_or_default(), oid }
    }

    /// Whether they may act for this role.
    #[must_use]
    pub fn has_rights_of(&self, role: &str) -> bool {
        let has = "select coalesce(bool_or(me.rolsuper or pg_has_role(me.oid, owner.oid, 'usage')), bool_or(me.rolsuper)) \
                   from pg_roles me left join pg_roles owner on owner.rolname = $2::name where me.oid = $1::oid";
        spi::first(has, &[Arg::Text(&self.oid), Arg::Text(role)], |row| row.boolean(1)).flatten() == Some(true)
    }

    /// Runs a statement with their own rights, and no more.
    pub fn run(&self, statement: &str) {
        spi::as_role(&self.name, || spi::run_script(statement));
    }

    /// Takes back the execute that an expose granted, unless another operation still needs it, or the function is gone.
    pub fn withdraw(&self, signature: &str, role: &str) {
        let is_unused = spi::as_role(PLATFORM, || {
            spi::first(
                "select not exists (select from nebula.operation where status = 'ativo' and function_signature = $1) \
               and exists (select from pg_proc where oid::regprocedure::text = $1)",
                &[Arg::Text(signature)],
                |row| row.boolean(1),
            )
        });
        if is_unused.flatten() == Some(true) {
            self.run(&format!("revoke execute on function {signature} from {}", spi::quote_identifier(role)));
        }
    }
}
