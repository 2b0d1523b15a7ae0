//! Attacks by someone who wants the money, each with a number. The short versions run in `make test`, the long ones by `make test-batteries`.

mod b13_audit;
mod b13_audit_controls;
