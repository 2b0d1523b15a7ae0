//! Every table that belongs to a tenant, in the order in which an import can load them: what a row refers to comes first.
//!
//! `asynchronous::exports` walks the catalog and fails where a tenant-scoped table is missing here.

use super::spi::{self, Arg};
use serde_json::{Value, json};
use std::fmt::Write;

/// A column that the edge or a worker has sealed already, and what it was sealed for (docs/edge-protocol.md, "Sealing").
pub struct SealedColumn {
    pub column: &'static str,
    /// The column with the version of the key.
    pub version: &'static str,
    pub field: &'static str,
}

/// What an import does with a table's secrets where it is to go without them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum WithoutSecrets {
    /// Rows that hold one are left out.
    LeaveOut,
    /// Others refer to the rows: random bytes, of which nobody knows the origin, take the place of the first secret, nothing that of the others.
    Randomise,
}

/// A table of a tenant.
pub struct ExportTable {
    pub name: &'static str,
    /// The columns of the order in which it is read, with the types that they are read back as; an index has them after the tenant.
    pub order: &'static [(&'static str, &'static str)],
    /// Newest first, since older rows refer to newer ones.
    pub descends: bool,
    /// Secrets, if only as digests: they leave the database for an export sealed.
    pub secrets: &'static [&'static str],
    pub sealed: &'static [SealedColumn],
    pub without_secrets: WithoutSecrets,
    /// Columns that refer to global tables, whose ids are others in another installation.
    pub references: &'static [(&'static str, &'static str)],
    /// Columns that an import sets otherwise, as SQL over the row `r`.
    pub on_import: &'static [(&'static str, &'static str)],
    /// What a row must be to be imported, as SQL over the row `r` with the tenant as $1.
    pub accepts: Option<&'static str>,
    pub is_imported: bool,
}

const ID: &[(&str, &str)] = &[("id", "uuid")];
const CREATED_AT_ID: &[(&str, &str)] = &[("created_at", "timestamptz"), ("id", "uuid")];
const ACTION: (&str, &str) = ("tool_action_id", "tool_action");

/// A table of which nothing is to be said.
const PLAIN: ExportTable = ExportTable {
    name: "",
    order: ID,
    descends: false,
    secrets: &[],
    sealed: &[],
    without_secrets: WithoutSecrets::LeaveOut,
    references: &[],
    on_import: &[],
    accepts: None,
    is_imported: true,
};

/// The tenant's folder in object storage is the tenant's: nobody's file names another's.
const IN_OWN_FOLDER: &str = "r.location like '%/' || $1 || '/%' and r.location not like '%..%'";

pub const TABLES: &[ExportTable] = &[
    ExportTable { name: "tenant", ..PLAIN },
    ExportTable { name: "tenant_config", ..PLAIN },
    ExportTable { name: "tenant_branding", ..PLAIN },
    ExportTable { name: "tenant_package", references: &[("package_id", "package")], ..PLAIN },
    ExportTable { name: "tenant_tool_override", references: &[("tool_id", "tool"), ACTION], ..PLAIN },
    ExportTable { name: "user", ..PLAIN },
    ExportTable { name: "user_secret", secrets: &["salt", "key_hash"], ..PLAIN },
    ExportTable { name: "group", ..PLAIN },
    ExportTable { name: "user_group", ..PLAIN },
    ExportTable { name: "group_permission", references: &[ACTION], ..PLAIN },
    ExportTable { name: "permission_usage", ..PLAIN },
    ExportTable {
        name: "api_key",
        secrets: &["hash", "previous_hash"],
        without_secrets: WithoutSecrets::Randomise,
        on_import: &[("previous_expires_at", "case when r.previous_hash is not null then r.previous_expires_at end")],
        ..PLAIN
    },
    ExportTable { name: "api_key_action", references: &[ACTION], ..PLAIN },
    // A login of one cluster is nobody in another, or somebody else: who may act as the key is said there.
    ExportTable { name: "role_binding", is_imported: false, ..PLAIN },
    ExportTable { name: "session", ..PLAIN },
    ExportTable { name: "refresh_token", descends: true, secrets: &["hash"], ..PLAIN },
    ExportTable { name: "revoked_token", ..PLAIN },
    ExportTable { name: "invite", secrets: &["hash"], ..PLAIN },
    ExportTable { name: "audit_log", order: CREATED_AT_ID, ..PLAIN },
    // Seals of this installation's key mean nothing elsewhere: where the log is imported it is sealed anew, from its first row.
    ExportTable { name: "audit_segment", is_imported: false, ..PLAIN },
    ExportTable { name: "audit_block", is_imported: false, ..PLAIN },
    ExportTable { name: "audit_erasure", is_imported: false, ..PLAIN },
    // Answers with a secret are sealed under the caller's key, which may be a guessable one: once more, then.
    ExportTable { name: "idempotency_key", secrets: &["response_sealed"], ..PLAIN },
    ExportTable {
        name: "outbox",
        order: CREATED_AT_ID,
        // Where it comes from it may be done any moment, or be done already: here a person says so.
        on_import: &[
            ("status", "case when r.status in ('pending', 'running') then 'dead' else r.status end"),
            ("last_error", "case when r.status in ('pending', 'running') then 'imported while it waited' else r.last_error end"),
            ("is_held", "false"),
            ("locked_until", "null"),
            ("finished_at", "coalesce(r.finished_at, now())"),
        ],
        ..PLAIN
    },
    ExportTable {
        name: "webhook_subscription",
        sealed: &[
            SealedColumn { column: "secret_sealed", version: "secret_key_version", field: "secret" },
            SealedColumn { column: "previous_secret_sealed", version: "previous_secret_key_version", field: "secret" },
        ],
        ..PLAIN
    },
    ExportTable { name: "webhook_delivery", order: CREATED_AT_ID, ..PLAIN },
    ExportTable {
        name: "integration_credential",
        sealed: &[SealedColumn { column: "data_encrypted", version: "key_version", field: "data" }],
        ..PLAIN
    },
    ExportTable {
        name: "usage_metrics",
        order: &[("period_start", "timestamptz"), ("tool_action_id", "uuid")],
        references: &[ACTION],
        ..PLAIN
    },
    ExportTable { name: "quota_usage", references: &[ACTION], ..PLAIN },
    ExportTable { name: "archive", accepts: Some(IN_OWN_FOLDER), ..PLAIN },
    ExportTable {
        name: "export_job",
        // Its files stay where they are.
        on_import: &[
            ("status", "case r.status when 'done' then 'expired' when 'expired' then 'expired' else 'failed' end"),
            ("location", "null"),
        ],
        ..PLAIN
    },
    ExportTable { name: "seed_history", ..PLAIN },
];

/// The table of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static ExportTable> {
    TABLES.iter().find(|table| table.name == name)
}

impl ExportTable {
    /// `nebula.<name>`, quoted.
    #[must_use]
    pub fn qualified(&self) -> String {
        format!("nebula.{}", spi::quote_identifier(self.name))
    }

    /// The column that says whose a row is.
    #[must_use]
    pub fn tenant_column(&self) -> &'static str {
        if self.name == "tenant" { "id" } else { "tenant_id" }
    }

    /// Its columns, in their order.
    #[must_use]
    pub fn columns(&self) -> Vec<String> {
        let columns = spi::rows(
            "select a.attname::text from pg_catalog.pg_attribute a join pg_catalog.pg_class c on c.oid = a.attrelid \
             where c.relnamespace = 'nebula'::regnamespace and c.relname = $1 and a.attnum > 0 and not a.attisdropped order by a.attnum",
            &[Arg::Text(self.name)],
            |row| row.text(1),
        );
        columns.into_iter().flatten().collect()
    }

    /// What a program must know to write or read it.
    #[must_use]
    pub fn describe(&self) -> Value {
        let sealed = self.sealed.iter().map(|s| json!({ "column": s.column, "version": s.version, "field": s.field })).collect::<Vec<_>>();
        let references = self.references.iter().map(|(column, table)| ((*column).to_owned(), json!(table)));
        json!({
            "name": self.name, "columns": self.columns(), "secrets": self.secrets, "sealed": sealed,
            "references": Value::Object(references.collect()), "randomises": self.without_secrets == WithoutSecrets::Randomise,
            "isImported": self.is_imported,
        })
    }

    /// A page of a tenant's rows: where it ends, and each row as JSON. $1 tenant, $2 how many, and $3 where the page before ended.
    #[must_use]
    pub fn page_statement(&self, is_first: bool) -> String {
        let list = |each: &dyn Fn(usize, &str, &str) -> String| {
            self.order.iter().enumerate().map(|(index, (column, cast))| each(index, column, cast)).collect::<Vec<_>>().join(", ")
        };
        let (direction, comparison) = if self.descends { ("desc", "<") } else { ("asc", ">") };
        let columns = list(&|_, column, _| format!("t.{column}"));
        let mut sql = format!(
            "select json_build_array({columns})::text, row_to_json(t)::text from {} t where t.{} = $1",
            self.qualified(),
            self.tenant_column()
        );
        if !is_first {
            let values = list(&|index, _, cast| format!("($3::json ->> {index})::{cast}"));
            // Writing to a String can't fail.
            let _ = write!(sql, " and ({columns}) {comparison} ({values})");
        }
        let order = list(&|_, column, _| format!("t.{column} {direction}"));
        let _ = write!(sql, " order by {order} limit $2");
        sql
    }
}
