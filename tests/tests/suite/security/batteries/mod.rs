//! Attacks by someone who wants the money, each with a number. The short versions run in `make test`, the long ones by `make test-batteries`.

mod b01_tokens;
mod b02_tenant_matrix;
mod b03_sql_isolation;
mod b05_escalation;
mod b07_idempotency;
mod b10_bad_input;
mod b10_shapes;
mod b13_audit;
mod b13_audit_controls;
mod b14_secrets;
mod b15_privacy;
mod b16_limits;
mod b17_overload;
mod b18_cancel;
mod b18_leak;
mod b18_memory_limit;
mod b18_savepoints;
mod b19_credentials;
mod takeover;
