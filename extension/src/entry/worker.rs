//! What every worker asks first: whether this database may send, and whose turn a task is.
#![allow(unsafe_code, clippy::needless_pass_by_value)]

use super::microseconds;
use crate::kernel::{place, task};
use pgrx::{datum::Interval, pg_extern};

#[pg_extern(sql = false)]
fn may_deliver() -> bool {
    place::may_deliver()
}

#[pg_extern(sql = false)]
fn delivery_place_here() -> String {
    place::here()
}

#[pg_extern(sql = false)]
fn adopt_here() -> String {
    place::adopt()
}

#[pg_extern(sql = false)]
fn adopt_place(fingerprint: &str) -> bool {
    place::adopt_place(fingerprint)
}

#[pg_extern(sql = false)]
fn start_task(worker: &str, name: &str, every: Interval, lease: Interval) -> bool {
    task::start(worker, name, microseconds(every), microseconds(lease))
}

#[pg_extern(sql = false)]
fn finish_task(worker: Option<&str>, name: Option<&str>, error: Option<&str>) {
    if let (Some(worker), Some(name)) = (worker, name) {
        task::finish(worker, name, error);
    }
}
