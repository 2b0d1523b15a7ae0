//! The steps of a protect, in their order, each with whether it is done.
//!
//! Until `switch` nobody sees more, and nobody less, than before. It is one transaction: who is tenantless is filled in, row security comes on, and what it needs is
//! there. Afterwards only what costs a scan is left, which takes no lock that writers wait for.

use super::{
    origin::{self, Origin, check_name},
    policy, privilege,
    registry::{self, Registered},
    step::Step,
    table::Table,
    trigger,
    wish::Wish,
};
use crate::kernel::spi::{self, quote_identifier, quote_literal};

/// So many rows without a tenant are filled in under the switch's lock; more than these, and it waits for another round before it.
const LEFT_TO_SWITCH: i64 = 1000;
/// Pages of a batch: some ten thousand rows of usual width, a few tens of milliseconds of row locks.
const PAGES_A_BATCH: u32 = 200;

/// A table on its way: what it is, what it shall be, and what is noted.
pub struct Plan<'a> {
    pub table: &'a Table,
    pub partitions: &'a [Table],
    pub wish: &'a Wish,
    pub registered: Option<&'a Registered>,
}

impl Plan<'_> {
    /// All steps, and notes after them.
    pub fn steps(&self) -> Vec<Step> {
        let mut steps = vec![self.begin()];
        steps.extend(self.columns());
        steps.extend(self.fill());
        steps.extend(self.index());
        steps.extend(self.foreign_key());
        steps.push(self.switch());
        steps.extend(self.not_null());
        steps.push(self.finish());
        steps.extend(self.notes());
        steps
    }

    fn name(&self) -> String {
        self.table.qualified()
    }

    fn is_column_filled(&self) -> bool {
        self.table.column(&self.wish.tenant_column).is_some_and(|column| column.is_not_null)
            || self.table.has_constraint(&check_name(self.table, &self.wish.tenant_column))
    }

    /// What is noted, or would be.
    fn origin(&self) -> Origin {
        let known = self.registered.map_or_else(|| Origin::of(self.table, self.wish, false), |registered| registered.origin.clone());
        known.with(self.table, self.wish, false)
    }

    fn begin(&self) -> Step {
        let is_noted = |table: &Table, is_partition: bool| {
            Registered::of(table).is_some_and(|known| known.is(self.wish, &known.origin.clone().with(table, self.wish, is_partition)))
        };
        let is_done = is_noted(self.table, false)
            && self.partitions.iter().all(|partition| is_noted(partition, true))
            && registry::has_catalog(self.wish);
        let sql = format!("select nebula.begin_protection({}, {})", quote_literal(&self.name()), quote_literal(&self.wish.options()));
        Step::new("begin", is_done, sql)
    }

    fn columns(&self) -> Vec<Step> {
        let (name, mut steps) = (self.name(), Vec::new());
        let default = self.wish.tenant.filter(|_| self.origin().has_constant_default);
        let default = default.map_or_else(String::new, |tenant| format!(" default {}", quote_literal(&tenant.to_string())));
        if self.origin().adds_column {
            let is_done = self.table.column(&self.wish.tenant_column).is_some();
            let sql = format!("alter table {name} add column {} uuid{default}", self.wish.quoted_column());
            steps.push(Step::locking("add_tenant_column", is_done, sql));
        }
        if self.origin().adds_updated_at {
            let is_done = self.table.column("updated_at").is_some();
            steps.push(Step::locking(
                "add_updated_at",
                is_done,
                format!("alter table {name} add column updated_at timestamptz not null default pg_catalog.now()"),
            ));
        }
        steps
    }

    /// Rows that were there before get their tenant, batch by batch. A constant default has filled them without touching one.
    fn fill(&self) -> Option<Step> {
        let tenant = self.wish.tenant_of_row().filter(|_| !self.origin().has_constant_default && !self.origin().is_not_null)?;
        let (name, column) = (self.name(), self.wish.quoted_column());
        let is_done = self.is_column_filled()
            || self.table.column(&self.wish.tenant_column).is_some() && {
                let some =
                    format!("select count(*)::text from (select from {name} t where t.{column} is null limit {}) few", LEFT_TO_SWITCH + 1);
                spi::text(&some, &[]).and_then(|count| count.parse::<i64>().ok()).is_some_and(|count| count <= LEFT_TO_SWITCH)
            };
        let leaves = if self.table.is_partitioned() {
            self.partitions.iter().filter(|partition| !partition.is_partitioned()).map(Table::qualified).collect()
        } else {
            vec![name.clone()]
        };
        let leaves = leaves.iter().map(|leaf| quote_literal(leaf)).collect::<Vec<_>>().join(", ");
        let update = format!(
            " t set {column} = {tenant} where t.ctid >= $1::pg_catalog.tid and t.ctid < $2::pg_catalog.tid and t.{column} is null and {tenant} is not null"
        );
        let sql = include_str!("fill.sql")
            .replace("{leaves}", &leaves)
            .replace("{update}", &quote_literal(&update))
            .replace("{pages}", &PAGES_A_BATCH.to_string())
            .replace("{table}", &name)
            .replace("{name}", &quote_literal(&name))
            .replace("{column}", &column)
            .replace("{left}", &LEFT_TO_SWITCH.to_string());
        Some(
            Step::new("fill_tenant_column", is_done, dollar_quoted_do(&sql))
                .together(self.catch_up())
                .noting("fires the table's own update triggers; commits after each batch, so it can't stand inside a transaction"),
        )
    }

    fn index(&self) -> Vec<Step> {
        let (Some(index), mut steps) = (self.origin().index, Vec::new()) else { return Vec::new() };
        let quoted = quote_identifier(&index);
        let concurrently = if self.table.is_partitioned() { "" } else { " concurrently" };
        if self.table.index(&index).is_some_and(|index| !index.is_valid) && !self.table.is_partitioned() {
            let dropped = |how: &str| format!("drop index{how} if exists {}.{quoted}", quote_identifier(&self.table.schema));
            steps.push(Step::new("drop_broken_index", false, dropped(concurrently)).together(dropped("")));
        }
        let is_done = self.table.tenant_index(&self.wish.tenant_column).is_some();
        let made = |how: &str| format!("create index{how} {quoted} on {} ({})", self.name(), self.wish.quoted_column());
        let step = if self.table.is_partitioned() {
            Step::locking("index", is_done, made(""))
                .noting("a partitioned table's index is made at once: it can be read meanwhile, and not written")
        } else {
            Step::new("index", is_done, made(" concurrently")).together(made(""))
        };
        steps.push(step);
        steps
    }

    fn foreign_key(&self) -> Vec<Step> {
        let Some(key) = self.origin().foreign_key else { return Vec::new() };
        let found = self.table.tenant_key(&self.wish.tenant_column);
        let quoted = quote_identifier(&key);
        let not_valid = if self.table.is_partitioned() { "" } else { " not valid" };
        let add = format!(
            "alter table {} add constraint {quoted} foreign key ({}) references nebula.tenant (id){not_valid}",
            self.name(),
            self.wish.quoted_column()
        );
        let add = Step::locking("foreign_key", found.is_some(), add);
        if self.table.is_partitioned() {
            return vec![add.noting("a partitioned table's foreign key is checked at once, under its lock")];
        }
        let is_valid = found.is_some_and(|key| key.is_valid);
        vec![add, Step::new("validate_foreign_key", is_valid, format!("alter table {} validate constraint {quoted}", self.name()))]
    }

    /// Everything that must come at one moment.
    fn switch(&self) -> Step {
        let (name, column) = (self.name(), self.wish.quoted_column());
        let mut bits = Vec::new();
        if !self.is_column_filled() {
            bits.push(self.catch_up());
            bits.push(format!(
                "alter table {name} add constraint {} check ({column} is not null) not valid",
                quote_identifier(&check_name(self.table, &self.wish.tenant_column))
            ));
        }
        let default = self.table.column(&self.wish.tenant_column).and_then(|column| column.default.as_deref());
        if default != Some(DEFAULT) {
            bits.push(format!("alter table {name} alter column {column} set default {DEFAULT}"));
        }
        bits.extend(self.bind(self.table, false));
        for partition in self.partitions {
            bits.extend(self.bind(partition, true));
        }
        let is_done = bits.is_empty();
        if is_done {
            bits.push("select 'nothing is left to do'".to_owned());
        } else {
            bits.insert(0, format!("lock table {name} in access exclusive mode"));
        }
        Step::locking("switch", is_done, bits.join(";\n"))
    }

    /// What each relation of it needs, since the parent's policies don't bind who names a partition.
    fn bind(&self, table: &Table, is_partition: bool) -> Vec<String> {
        let (name, mut bits) = (table.qualified(), Vec::new());
        bits.extend(privilege::excess(table).iter().map(|privilege| privilege.revoke(&name)));
        if !is_partition {
            bits.extend(privilege::missing(table, self.wish).iter().map(|privilege| privilege.grant(&name)));
        }
        if self.wish.replace_policies {
            bits.extend(origin::replaceable(table).map(|policy| policy.drop(&name)));
        }
        for wanted in policy::wanted(self.wish) {
            match table.policies.iter().find(|policy| policy.name == wanted.name) {
                Some(found) if *found == wanted => {}
                Some(found) => bits.extend([found.drop(&name), wanted.create(&name)]),
                None => bits.push(wanted.create(&name)),
            }
        }
        bits.extend(trigger::all(self.wish, is_partition).iter().filter_map(|wanted| wanted.settle(table, is_partition)));
        if !table.row_security {
            bits.push(format!("alter table {name} enable row level security"));
        }
        if !table.force_row_security {
            bits.push(format!("alter table {name} force row level security"));
        }
        bits
    }

    /// Fills in what came meanwhile, and refuses what has no tenant.
    fn catch_up(&self) -> String {
        let (name, column) = (self.name(), self.wish.quoted_column());
        let fill = self
            .wish
            .tenant_of_row()
            .map_or_else(String::new, |tenant| format!("update {name} t set {column} = {tenant} where t.{column} is null;\n"));
        let hint = if self.wish.tenant_query.is_some() {
            "The tenant_query gives null for them."
        } else {
            "Say whose they are by tenant or tenant_query, or set the column."
        };
        let check = include_str!("refuse_tenantless.sql")
            .replace("{table}", &name)
            .replace("{name}", &quote_literal(&name))
            .replace("{column}", &column)
            .replace("{hint}", &quote_literal(hint));
        format!("{fill}{}", dollar_quoted_do(&check))
    }

    fn not_null(&self) -> Vec<Step> {
        let (name, column, check) = (self.name(), self.wish.quoted_column(), check_name(self.table, &self.wish.tenant_column));
        if self.origin().is_not_null {
            return Vec::new();
        }
        let is_not_null = self.table.column(&self.wish.tenant_column).is_some_and(|column| column.is_not_null);
        let is_valid = self.table.constraints.iter().any(|constraint| constraint.name == check && constraint.is_valid);
        let is_gone = !self.table.has_constraint(&check);
        let check = quote_identifier(&check);
        vec![
            Step::new("validate_not_null", is_not_null || is_valid, format!("alter table {name} validate constraint {check}")),
            Step::locking(
                "set_not_null",
                is_not_null && is_gone,
                // The valid check spares the scan.
                format!("alter table {name} alter column {column} set not null;\nalter table {name} drop constraint if exists {check}"),
            ),
        ]
    }

    fn finish(&self) -> Step {
        let is_done = self.registered.is_some_and(|registered| registered.is_complete);
        Step::new("finish", is_done, format!("select nebula.finish_protection({})", quote_literal(&self.name())))
    }

    fn notes(&self) -> Vec<Step> {
        let mut notes = Vec::new();
        let column = &self.wish.tenant_column;
        for index in self.table.indexes.iter().filter(|index| index.is_unique && !index.columns.contains(column)) {
            let makes_itself = |name: &String| {
                self.table.column(name).is_some_and(|column| {
                    column.is_generated || column.kind == "uuid" || column.default.as_deref().is_some_and(|d| d.starts_with("nextval("))
                })
            };
            if index.has_expressions || !index.columns.iter().all(makes_itself) {
                notes.push(format!(
                    "the unique index {} is not per tenant: who inserts a value learns whether another tenant has it; let it begin with {column}",
                    index.name
                ));
            }
        }
        for key in self.table.constraints.iter().filter(|key| !key.refers_to_tenant && !key.columns.contains(column)) {
            if let Some(target) = &key.refers_to {
                notes.push(format!(
                    "the foreign key {} to {target} does not include {column}: a row may refer to another tenant's, and so learn that it exists",
                    key.name
                ));
            }
        }
        if !self.wish.replace_policies {
            for policy in origin::replaceable(self.table) {
                notes.push(format!(
                    "the policy {} stays: within the tenant it admits what the rights to the actions don't; replace_policies => true takes it out until unprotect",
                    policy.name
                ));
            }
        }
        for role in self.table.blind_roles.iter().chain(self.wish.grant_to.iter().filter(|role| !may_ask(role))) {
            notes
                .push(format!("the role {role} can't execute nebula.tenant_for and gets an error instead of rows: grant nebula_app to it"));
        }
        notes.sort();
        notes.dedup();
        notes.into_iter().map(Step::note).collect()
    }
}

/// As Postgres writes it back.
const DEFAULT: &str = "nebula.current_tenant()";

fn may_ask(role: &str) -> bool {
    let asks = "select from pg_catalog.pg_roles r where r.rolname = $1 and (r.rolbypassrls or pg_catalog.has_function_privilege(r.oid, 'nebula.tenant_for(text)', 'execute'))";
    spi::first(asks, &[spi::Arg::Text(role)], |_| ()).is_some()
}

/// A `do` statement of a body in which anything may stand.
fn dollar_quoted_do(body: &str) -> String {
    let mut tag = "nebula".to_owned();
    while body.contains(&format!("${tag}$")) {
        tag.push('_');
    }
    format!("do ${tag}$\n{}\n${tag}$", body.trim_end())
}
