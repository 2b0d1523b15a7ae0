mod audit_log;
mod edge_login;
mod isolation;
mod secrets;
mod tokens;
