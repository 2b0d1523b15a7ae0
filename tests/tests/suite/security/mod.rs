mod audit_log;
mod edge_login;
mod isolation;
mod issuers;
mod secrets;
mod sql_callers;
mod tokens;
