mod audit_log;
mod batteries;
mod edge_login;
mod isolation;
mod issuers;
mod secrets;
mod sql_callers;
mod tokens;
