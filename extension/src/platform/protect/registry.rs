//! The product's notes of protected tables, written with the product's rights once it is sure that the caller owns the table.

use super::{
    origin::Origin,
    refused::{Refused, Result},
    table::Table,
    wish::{VERBS, Wish},
};
use crate::kernel::{
    seed,
    spi::{self, Arg, quote_identifier},
    sql_caller::{OWNER, PLATFORM},
};
use serde::Deserialize;
use uuid::Uuid;

/// What is registered of a table.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Registered {
    id: Uuid,
    pub tenant_column: String,
    resource: String,
    actions: [String; 4],
    personal_columns: Vec<String>,
    is_audited: bool,
    emits_events: bool,
    touches_updated_at: bool,
    pub is_complete: bool,
    pub origin: Origin,
}

impl Registered {
    pub fn of(table: &Table) -> Option<Self> {
        let text = spi::as_role(OWNER, || {
            spi::text(
                "select json_build_object('id', id, 'tenantColumn', tenant_column, 'resource', resource, \
                   'actions', array[read_action, create_action, update_action, delete_action], 'personalColumns', personal_columns, \
                   'isAudited', is_audited, 'emitsEvents', emits_events, 'touchesUpdatedAt', touches_updated_at, 'isComplete', is_complete, 'origin', origin)::text \
                 from nebula.protected_table where relation = $1::oid::regclass",
                &[Arg::BigInt(table.oid)],
            )
        });
        serde_json::from_str(&text?).ok()
    }

    /// Whether nothing of what is wanted differs from what is noted.
    pub fn is(&self, wish: &Wish, origin: &Origin) -> bool {
        self.tenant_column == wish.tenant_column
            && self.resource == wish.resource
            && self.actions == wish.actions
            && self.personal_columns == wish.personal_columns
            && (self.is_audited, self.emits_events, self.touches_updated_at) == (wish.audited, wish.emits, wish.touches_updated_at)
            && self.origin == *origin
    }

    /// The tenant's column as it is called now, where it was renamed: the one with the foreign key.
    pub fn current_column<'a>(&'a self, table: &'a Table) -> &'a str {
        if table.column(&self.tenant_column).is_some() {
            return &self.tenant_column;
        }
        let key = table.constraints.iter().find(|key| key.refers_to_tenant && key.columns.len() == 1);
        key.and_then(|key| key.columns.first()).map_or(&self.tenant_column, String::as_str)
    }
}

/// Notes what a table is and is to become, partitions included; makes the actions that are missing.
pub fn begin(table: &Table, wish: &Wish) -> Result<()> {
    forget_dropped();
    let id = write(table, wish, None);
    for partition in table.partitions() {
        write(&partition, wish, Some(id));
    }
    let caller = spi::text("select current_user::text", &[]).unwrap_or_default();
    let lacks_reference =
        spi::first("select from pg_catalog.has_table_privilege('nebula.tenant', 'references') h where not h", &[], |_| ()).is_some();
    if lacks_reference {
        // Until the foreign key is there.
        spi::as_role(OWNER, || spi::run_script(&format!("grant references on nebula.tenant to {}", quote_identifier(&caller))));
    }
    spi::as_role(PLATFORM, || catalog(wish))
}

fn write(table: &Table, wish: &Wish, parent: Option<Uuid>) -> Uuid {
    let known = Registered::of(table);
    let origin = known.as_ref().map_or_else(|| Origin::of(table, wish, parent.is_some()), |known| known.origin.clone());
    let origin = origin.with(table, wish, parent.is_some());
    if let Some(known) = known.as_ref().filter(|known| known.is(wish, &origin)) {
        return known.id;
    }
    let [read, create, update, delete] = &wish.actions;
    let written = spi::as_role(OWNER, || {
        spi::first(
            "insert into nebula.protected_table as p \
               (relation, parent_id, tenant_column, resource, read_action, create_action, update_action, delete_action, personal_columns, \
                is_audited, emits_events, touches_updated_at, origin) \
             values ($1::oid::regclass, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13::jsonb) \
             on conflict (relation) do update set \
               parent_id = excluded.parent_id, tenant_column = excluded.tenant_column, resource = excluded.resource, \
               read_action = excluded.read_action, create_action = excluded.create_action, update_action = excluded.update_action, \
               delete_action = excluded.delete_action, personal_columns = excluded.personal_columns, is_audited = excluded.is_audited, \
               emits_events = excluded.emits_events, touches_updated_at = excluded.touches_updated_at, origin = excluded.origin \
             returning p.id",
            &[
                Arg::BigInt(table.oid),
                Arg::OptUuid(parent),
                Arg::Text(&wish.tenant_column),
                Arg::Text(&wish.resource),
                Arg::Text(read),
                Arg::Text(create),
                Arg::Text(update),
                Arg::Text(delete),
                Arg::Texts(&wish.personal_columns),
                Arg::Bool(wish.audited),
                Arg::Bool(wish.emits),
                Arg::Bool(wish.touches_updated_at),
                Arg::Text(&serde_json::json!(origin).to_string()),
            ],
            |row| row.uuid(1),
        )
    });
    written.flatten().unwrap_or_default()
}

/// The actions, and the package that grants them. What the catalog has already is left as it is.
fn catalog(wish: &Wish) -> Result<()> {
    for (action, verb) in wish.actions.iter().zip(VERBS) {
        let is_known = spi::first("select from nebula.tool_action where key = $1", &[Arg::Text(action)], |_| ()).is_some();
        if !is_known {
            spi::run("insert into nebula.tool (key, name) values ($1, $1) on conflict (key) do nothing", &[Arg::Text(&wish.tool)]);
            let kind = if verb == "read" { "read" } else { "write" };
            spi::run(
                "insert into nebula.tool_action (tool_id, key, name, kind) select t.id, $2, $2, $3 from nebula.tool t where t.key = $1 \
                 on conflict (key) do nothing",
                &[Arg::Text(&wish.tool), Arg::Text(action), Arg::Text(kind)],
            );
        }
    }
    let Some(package) = &wish.package else { return Ok(()) };
    let added = spi::run(
        "insert into nebula.package_action (package_id, tool_action_id) \
         select p.id, a.id from nebula.package p join nebula.tool_action a on a.key = any ($2) where p.key = $1 \
         on conflict (package_id, tool_action_id) do nothing",
        &[Arg::Text(package), Arg::Texts(&wish.actions)],
    );
    if added > 0 {
        seed::administrators_of_all();
    }
    Ok(())
}

/// Whether the catalog lacks nothing of what a wish names.
pub fn has_catalog(wish: &Wish) -> bool {
    spi::as_role(PLATFORM, || {
        let missing = spi::first(
            "select from unnest($1) action (key) \
             where not exists (select from nebula.tool_action a where a.key = action.key) \
                or $2 is not null and not exists ( \
                  select from nebula.package p join nebula.package_action pa on pa.package_id = p.id join nebula.tool_action a on a.id = pa.tool_action_id \
                  where p.key = $2 and a.key = action.key)",
            &[Arg::Texts(&wish.actions), Arg::OptText(wish.package.as_deref())],
            |_| (),
        );
        missing.is_none()
    })
}

/// Notes that a table is protected.
pub fn finish(table: &Table) -> bool {
    let finished = spi::as_role(OWNER, || {
        spi::run(
            "update nebula.protected_table p set is_complete = true \
             where not p.is_complete and (p.relation = $1::oid::regclass \
               or p.parent_id = (select w.id from nebula.protected_table w where w.relation = $1::oid::regclass))",
            &[Arg::BigInt(table.oid)],
        )
    });
    take_reference_back();
    finished > 0
}

/// The right to refer to tenants was lent for the way; nobody keeps it who isn't on it.
fn take_reference_back() {
    spi::as_role(OWNER, || {
        let is_anybody_on_the_way = spi::first("select from nebula.protected_table where not is_complete limit 1", &[], |_| ()).is_some();
        if !is_anybody_on_the_way {
            let lent = spi::rows(
                "select distinct pg_catalog.pg_get_userbyid(acl.grantee)::text from pg_catalog.pg_class c cross join lateral pg_catalog.aclexplode(c.relacl) acl \
                 where c.oid = 'nebula.tenant'::regclass and acl.privilege_type = 'REFERENCES' \
                   and acl.grantee not in ('nebula_owner'::regrole, 'nebula_platform'::regrole)",
                &[],
                |row| row.text(1).unwrap_or_default(),
            );
            for role in lent {
                spi::run_script(&format!("revoke references on nebula.tenant from {}", quote_identifier(&role)));
            }
        }
    });
}

/// Forgets a table, and its partitions with it.
pub fn end(table: &Table) -> bool {
    let ended = spi::as_role(OWNER, || {
        spi::run(
            "delete from nebula.protected_table p where p.relation = $1::oid::regclass \
               or p.parent_id = (select w.id from nebula.protected_table w where w.relation = $1::oid::regclass)",
            &[Arg::BigInt(table.oid)],
        )
    });
    take_reference_back();
    ended > 0
}

/// Rows of tables that were dropped.
fn forget_dropped() {
    spi::as_role(OWNER, || {
        spi::run("delete from nebula.protected_table p where not exists (select from pg_catalog.pg_class c where c.oid = p.relation)", &[])
    });
}

/// What must be registered for a step that comes later.
pub fn require(table: &Table) -> Result<Registered> {
    Registered::of(table).ok_or_else(|| Refused::state(format!("{} is not protected", table.qualified()), "nebula.protect() protects it."))
}
