//! The triggers of a protected table.

use super::{table::Table, wish::Wish};

/// A trigger that a protected table may have.
pub struct Wanted {
    pub name: &'static str,
    event: &'static str,
    function: &'static str,
    /// Also where somebody sets session_replication_role: that setting is no way around the audit. Events stay where they happened.
    is_always: bool,
    pub is_wanted: bool,
}

const TRANSITIONS: [(&str, &str); 3] = [
    ("insert", "referencing new table as new_rows"),
    ("update", "referencing old table as old_rows new table as new_rows"),
    ("delete", "referencing old table as old_rows"),
];

/// The one that keeps `updated_at`.
pub const TOUCH: &str = "nebula_touch_updated_at";

/// The names that are ours on any table.
pub const NAMES: [&str; 7] = [
    TOUCH,
    "nebula_audit_insert",
    "nebula_audit_update",
    "nebula_audit_delete",
    "nebula_emit_insert",
    "nebula_emit_update",
    "nebula_emit_delete",
];

/// All of them, in the order in which they fire. A partition keeps `updated_at` by its whole table's trigger.
pub fn all(wish: &Wish, is_partition: bool) -> [Wanted; 7] {
    let audit = |name, event| Wanted { name, event, function: "nebula.audit_change", is_always: true, is_wanted: wish.audited };
    let emit = |name, event| Wanted { name, event, function: "nebula.emit_change", is_always: false, is_wanted: wish.emits };
    [
        Wanted {
            name: TOUCH,
            event: "row",
            function: "nebula.touch_updated_at",
            is_always: false,
            is_wanted: wish.touches_updated_at && !is_partition,
        },
        audit("nebula_audit_insert", "insert"),
        audit("nebula_audit_update", "update"),
        audit("nebula_audit_delete", "delete"),
        emit("nebula_emit_insert", "insert"),
        emit("nebula_emit_update", "update"),
        emit("nebula_emit_delete", "delete"),
    ]
}

impl Wanted {
    fn create(&self, table: &str) -> String {
        if self.event == "row" {
            return format!("create trigger {} before update on {table} for each row execute function {}()", self.name, self.function);
        }
        let referencing = TRANSITIONS.iter().find(|(event, _)| *event == self.event).map_or("", |(_, referencing)| referencing);
        let mut sql = format!(
            "create trigger {} after {} on {table} {referencing} for each statement execute function {}()",
            self.name, self.event, self.function
        );
        if self.is_always {
            sql.push_str(&format!(";\nalter table {table} enable always trigger {}", self.name));
        }
        sql
    }

    /// What makes the table have it, or not have it; `None` where nothing is to do.
    pub fn settle(&self, table: &Table, is_partition: bool) -> Option<String> {
        let name = table.qualified();
        let drop = format!("drop trigger {} on {name}", self.name);
        let found = table.triggers.iter().find(|trigger| trigger.name == self.name);
        match found {
            // Postgres copies a row trigger to partitions, and takes it away with the original.
            _ if is_partition && self.event == "row" => None,
            None => self.is_wanted.then(|| self.create(&name)),
            Some(_) if !self.is_wanted => Some(drop),
            Some(trigger) => {
                let is_right = trigger.function == self.function && trigger.enabled == if self.is_always { "A" } else { "O" };
                (!is_right).then(|| format!("{drop};\n{}", self.create(&name)))
            }
        }
    }
}
