//! Periodic work: whichever worker asks first when it is due does it, under a lease.

use super::{
    place,
    spi::{self, Arg},
};

/// Takes the turn if the task is due and nobody has it; intervals in microseconds.
#[must_use]
pub fn start(worker: &str, name: &str, every: i64, lease: i64) -> bool {
    place::require_known();
    spi::run("insert into nebula.task (name) values ($1) on conflict (name) do nothing", &[Arg::Text(name)]);
    spi::run(
        "update nebula.task set locked_by = $1, locked_until = clock_timestamp() + $4::float8 * interval '1 microsecond', \
           due_at = clock_timestamp() + $3::float8 * interval '1 microsecond' \
         where name = $2 and ((locked_until is null and due_at <= clock_timestamp()) or locked_until <= clock_timestamp())",
        &[Arg::Text(worker), Arg::Text(name), Arg::BigInt(every), Arg::BigInt(lease)],
    ) > 0
}

/// Gives the turn back, with why it failed if it did.
pub fn finish(worker: &str, name: &str, error: Option<&str>) {
    spi::run(
        "update nebula.task set locked_by = null, locked_until = null, last_error = left($3, 500), finished_at = clock_timestamp() \
         where name = $2 and locked_by = $1",
        &[Arg::Text(worker), Arg::Text(name), Arg::OptText(error)],
    );
}
