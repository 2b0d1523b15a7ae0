//! The rules of `nebula.doctor()`: each is a query of `sql/doctor`, compiled in, so that a new library brings its rules along without an upgrade statement.
//!
//! A query answers rows of object, why and remedy. It may use `$1`, the schemas of the application, and `$2`, how long a transaction may be open; one that reads
//! the installation's rows uses neither. How they are run: `sql/functions/doctor.sql`.

use serde_json::{Value, json};

/// What a finding is worth.
#[derive(Clone, Copy, Debug)]
enum Severity {
    /// Something is open, lost or broken.
    Error,
    /// Something will be, or is for somebody who looks for it.
    Warning,
    /// What a DBA should know and may well want so.
    Info,
}

impl Severity {
    fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// With whose rights a rule is asked.
#[derive(Clone, Copy, Debug)]
enum Reader {
    /// Whoever calls: catalogs and settings, no more than they may read.
    Dba,
    /// `nebula_platform`: rows of the installation and of all tenants, which a DBA who is no superuser may not read.
    Platform,
    /// `nebula_owner`: what not even the platform may read, other issuers' secrets.
    Owner,
}

impl Reader {
    fn name(self) -> &'static str {
        match self {
            Self::Dba => "dba",
            Self::Platform => "platform",
            Self::Owner => "owner",
        }
    }
}

struct Rule {
    severity: Severity,
    reader: Reader,
    /// Number and name, as the file is called.
    file: &'static str,
    sql: &'static str,
}

macro_rules! rules {
    ($($severity:ident $reader:ident $file:literal,)*) => {
        &[$(Rule {
            severity: Severity::$severity,
            reader: Reader::$reader,
            file: $file,
            sql: include_str!(concat!("../../../sql/doctor/", $file, ".sql")),
        },)*]
    };
}

/// By number: 01 row-level security, 02 views and functions, 03 keys, indexes and upkeep, 04 privileges, all of the application; 05 Nebula's own objects, 06 its
/// rows; 07 the server; 08 protected tables and exposed functions.
const RULES: &[Rule] = rules! {
    Error Dba "0101_rls_disabled_on_tenant_table",
    Error Dba "0102_rls_disabled_on_exposed_table",
    Warning Dba "0103_rls_not_forced",
    Error Dba "0104_policy_without_rls",
    Info Dba "0105_rls_without_policy",
    Error Dba "0106_policy_always_true_on_tenant_table",
    Warning Dba "0107_policy_always_true",
    Error Dba "0108_policy_without_tenant",
    Warning Dba "0109_policy_evaluated_per_row",
    Error Dba "0110_policy_trusts_user_metadata",
    Warning Dba "0111_multiple_permissive_policies",
    Error Dba "0112_sensitive_column_exposed",
    Error Dba "0201_view_over_tenant_table",
    Warning Dba "0202_view_without_security_invoker",
    Warning Dba "0203_materialized_view_exposed",
    Warning Dba "0204_foreign_table_exposed",
    Error Dba "0205_auth_users_exposed",
    Error Dba "0206_definer_search_path_mutable",
    Warning Dba "0207_function_search_path_mutable",
    Error Dba "0208_definer_of_stronger_role",
    Warning Dba "0209_definer_callable_by_anon",
    Warning Dba "0210_definer_callable_by_callers",
    Info Dba "0211_function_callable_by_anon",
    Warning Dba "0212_leakproof_function",
    Warning Dba "0213_rule_on_tenant_table",
    Error Dba "0214_secret_in_code",
    Info Dba "0301_foreign_key_without_index",
    Info Dba "0302_no_primary_key",
    Info Dba "0303_unused_index",
    Warning Dba "0304_duplicate_index",
    Warning Dba "0305_invalid_index",
    Warning Dba "0306_tenant_index_missing",
    Warning Dba "0307_unique_across_tenants",
    Warning Dba "0308_foreign_key_without_tenant",
    Warning Dba "0309_tenant_column_nullable",
    Info Dba "0310_tenant_column_without_foreign_key",
    Warning Dba "0311_key_nearly_exhausted",
    Warning Dba "0312_foreign_key_to_auth_unique",
    Warning Dba "0313_unsupported_reg_type",
    Info Dba "0314_constraint_not_validated",
    Warning Dba "0315_trigger_disabled",
    Warning Dba "0316_unlogged_table",
    Info Dba "0317_table_bloat",
    Info Dba "0318_dead_rows",
    Info Dba "0319_statistics_missing",
    Error Dba "0401_truncate_granted",
    Warning Dba "0402_references_or_trigger_granted",
    Warning Dba "0403_schema_create_granted",
    Info Dba "0404_temporary_granted",
    Info Dba "0405_sequence_readable",
    Info Dba "0406_default_privileges_to_callers",
    Info Dba "0407_anon_may_write",
    Warning Dba "0408_graphql_visible_to_anon",
    Info Dba "0409_graphql_visible_to_authenticated",
    Warning Dba "0410_extension_in_public",
    Warning Dba "0411_extension_outdated",
    Error Dba "0412_queue_exposed",
    Warning Dba "0413_public_bucket_listing",
    Error Dba "0414_table_owned_by_caller",
    Error Dba "0415_caller_role_is_strong",
    Error Dba "0501_nebula_rls",
    Error Dba "0502_nebula_policy",
    Error Dba "0503_nebula_owner",
    Error Dba "0504_nebula_table_privilege",
    Error Dba "0505_nebula_column_privilege",
    Error Dba "0506_nebula_function_privilege",
    Warning Dba "0507_nebula_function_privilege_missing",
    Error Dba "0508_nebula_function_owner",
    Error Dba "0509_nebula_function_search_path",
    Error Dba "0510_nebula_schema_privilege",
    Error Dba "0511_nebula_sequence_privilege",
    Error Dba "0512_nebula_table_is_member",
    Error Dba "0513_nebula_trigger_disabled",
    Error Dba "0514_nebula_trigger_missing",
    Error Dba "0515_nebula_foreign_object",
    Error Dba "0516_nebula_role_attribute",
    Error Dba "0517_nebula_role_member",
    Error Dba "0518_nebula_role_setting",
    Warning Dba "0519_nebula_secret_published",
    Error Platform "0601_schema_outdated",
    Warning Dba "0602_library_and_sql_differ",
    Warning Platform "0603_partition_missing",
    Warning Platform "0604_default_partition_rows",
    Error Platform "0605_signing_key_missing",
    Error Platform "0606_signing_key_weak",
    Info Platform "0607_sealing_key_none",
    Error Platform "0608_sealing_key_lacking",
    Info Owner "0609_issuer_shared_secret",
    Error Owner "0610_issuer_secret_weak",
    Warning Owner "0611_issuer_without_key",
    Warning Platform "0612_dead_jobs",
    Info Platform "0613_webhook_failing",
    Warning Platform "0614_place_not_adopted",
    Warning Platform "0615_task_failed",
    Warning Platform "0616_task_overdue",
    Warning Platform "0617_outbox_stalled",
    Warning Platform "0618_catalog_not_seeded",
    Warning Platform "0619_binding_dangling",
    Error Platform "0620_binding_of_strong_role",
    Info Platform "0621_expired_rows_kept",
    Info Platform "0622_audit_key_none",
    Warning Platform "0623_audit_seals_late",
    Error Dba "0701_postgres_too_old",
    Info Dba "0702_library_not_preloaded",
    Warning Dba "0703_wraparound_near",
    Warning Dba "0704_idle_in_transaction",
    Warning Dba "0705_long_transaction",
    Warning Dba "0706_prepared_transaction",
    Warning Dba "0707_replication_slot_inactive",
    Info Dba "0708_role_bypasses_rls",
    Error Dba "0709_setting_loses_data",
    Warning Dba "0710_setting_weak",
    Info Dba "0711_connections_without_tls",
    Warning Dba "0712_trust_authentication",
    Warning Dba "0713_password_md5",
    Warning Dba "0714_setting_of_role_or_database",
    Error Platform "0801_protected_policy_changed",
    Warning Platform "0802_protected_policy_added",
    Error Platform "0803_protected_rls_disabled",
    Error Platform "0804_protected_trigger_missing",
    Warning Platform "0805_protection_unfinished",
    Info Platform "0806_protected_table_gone",
    Error Platform "0807_exposed_function_gone",
    Error Platform "0808_exposed_function_definer",
    Error Platform "0809_exposed_function_of_another_owner",
    Error Platform "0810_exposed_function_not_executable",
};

/// Every rule: `[{"number", "rule", "severity", "reader", "sql"}]`.
#[must_use]
pub fn rules() -> Value {
    RULES
        .iter()
        .map(|rule| {
            let (number, name) = rule.file.split_once('_').unwrap_or(("", rule.file));
            json!({ "number": number, "rule": name, "severity": rule.severity.name(), "reader": rule.reader.name(), "sql": rule.sql })
        })
        .collect()
}
