//! The fields of a log line: these and no others, whoever logs. A library's own fields, and any that somebody adds to a line of ours without adding it here, are left out.

use serde_json::Value;
use std::fmt::{self, Write};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    registry::LookupSpan,
};

/// Contract, section 10, beside `timestamp`, `level` and `message`.
const ALLOWED: [&str; 10] =
    ["requestId", "traceId", "tenantId", "actorType", "actorId", "method", "route", "statusCode", "latencyMs", "error.code"];

/// Writes an event as one line of JSON.
pub struct AllowedFields;

impl<S, N> FormatEvent<S, N> for AllowedFields
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = Line { message: String::new(), fields: String::with_capacity(256) };
        event.record(&mut line);
        writer.write_str("{\"timestamp\":\"")?;
        SystemTime.format_time(&mut writer)?;
        write!(writer, "\",\"level\":\"{}\",\"message\":", event.metadata().level())?;
        writer.write_str(&quoted(&line.message))?;
        writer.write_str(&line.fields)?;
        writer.write_str("}\n")
    }
}

/// What was recorded so far: the fields as JSON, a comma before each.
struct Line {
    message: String,
    fields: String,
}

impl Line {
    fn put(&mut self, field: &Field, json: impl fmt::Display) {
        if ALLOWED.contains(&field.name()) {
            // Writing into a String can't fail.
            let _ = write!(self.fields, ",\"{}\":{json}", field.name());
        }
    }
}

impl Visit for Line {
    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no infinity and no NaN.
        self.put(field, Value::from(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else if ALLOWED.contains(&field.name()) {
            self.put(field, quoted(value));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.message, "{value:?}");
        } else if ALLOWED.contains(&field.name()) {
            self.put(field, quoted(&format!("{value:?}")));
        }
    }
}

fn quoted(text: &str) -> String {
    // A str always becomes JSON.
    serde_json::to_string(text).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use std::{
        io,
        sync::{Arc, Mutex},
    };
    use tracing_subscriber::fmt::MakeWriter;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Log {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    fn lines(log: impl FnOnce()) -> Vec<Value> {
        let written = Log::default();
        let subscriber = tracing_subscriber::fmt().event_format(AllowedFields).with_writer(written.clone()).finish();
        tracing::subscriber::with_default(subscriber, log);
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_has_the_allowed_fields_and_no_others() {
        let lines = lines(|| {
            tracing::info!(
                requestId = "r\"1",
                statusCode = 200_u16,
                latencyMs = 1.25,
                error.code = Some("X"),
                tenantId = None::<&str>,
                email = "ana@acme.example",
                route = ?"debug",
                "said {}",
                "\"it\"\n"
            );
        });
        let line = lines[0].as_object().unwrap();
        let names = line.keys().map(String::as_str).collect::<Vec<_>>();
        assert_eq!(names, ["error.code", "latencyMs", "level", "message", "requestId", "route", "statusCode", "timestamp"]);
        assert_eq!((&line["message"], &line["requestId"], &line["statusCode"]), (&"said \"it\"\n".into(), &"r\"1".into(), &200.into()));
        assert_eq!((&line["latencyMs"], &line["level"]), (&1.25.into(), &"INFO".into()));
    }

    #[test]
    fn what_is_no_number_is_null() {
        assert_eq!(lines(|| tracing::warn!(latencyMs = f64::NAN, "x"))[0]["latencyMs"], Value::Null);
    }
}
