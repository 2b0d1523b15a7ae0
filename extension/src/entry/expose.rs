//! SQL functions as operations.

use crate::platform::expose::{self as platform, Refused, Wanted};
use pgrx::{
    PgLogLevel, PgSqlErrorCode,
    datum::TimestampWithTimeZone,
    pg_extern,
    pg_sys::{Oid, panic::ErrorReport},
};

/// Raises what was refused, for the DBA to read.
fn or_raise<T>(outcome: Result<T, Refused>) -> T {
    let refused = match outcome {
        Ok(value) => return value,
        Err(refused) => refused,
    };
    let mut report = ErrorReport::new(refused.state, refused.message, "nebula");
    if let Some(hint) = refused.hint {
        report = report.set_hint(hint);
    }
    report.report(PgLogLevel::ERROR);
    unreachable!("an error was raised");
}

fn missing(name: &str) -> Refused {
    Refused { state: PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED, message: format!("{name} is null"), hint: None }
}

/// Whole seconds since the Unix epoch.
fn seconds(instant: TimestampWithTimeZone) -> i64 {
    const POSTGRES_EPOCH: i64 = 946_684_800;
    i64::from(instant).div_euclid(1_000_000) + POSTGRES_EPOCH
}

#[pg_extern(sql = false)]
#[allow(clippy::too_many_arguments, reason = "one for each option, by name")]
fn expose(
    function: Option<Oid>,
    action: Option<&str>,
    method: Option<&str>,
    path: Option<&str>,
    kind: Option<&str>,
    tool: Option<&str>,
    package: Option<&str>,
    success: Option<i32>,
    summary_pt: Option<&str>,
    summary_en: Option<&str>,
    per_minute: Option<i32>,
    per_month: Option<i32>,
    max_rows: Option<i32>,
    event: Option<&str>,
    deprecated_at: Option<TimestampWithTimeZone>,
    sunset_at: Option<TimestampWithTimeZone>,
) -> Option<String> {
    let outcome = (|| {
        platform::expose(&Wanted {
            function: function.ok_or_else(|| missing("function"))?.to_u32(),
            action: action.ok_or_else(|| missing("action"))?,
            method: method.ok_or_else(|| missing("method"))?,
            path: path.ok_or_else(|| missing("path"))?,
            kind,
            tool,
            package,
            success,
            summary_pt,
            summary_en,
            per_minute,
            per_month,
            max_rows,
            event,
            deprecated_at: deprecated_at.map(seconds),
            sunset_at: sunset_at.map(seconds),
        })
    })();
    Some(or_raise(outcome).to_string())
}

#[pg_extern(sql = false)]
fn unexpose(action: Option<&str>, method: Option<&str>, path: Option<&str>) -> Option<i32> {
    Some(or_raise(platform::unexpose(action, method, path)))
}
