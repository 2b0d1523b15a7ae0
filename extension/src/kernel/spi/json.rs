//! Rows as JSON objects, a member for each column by its name. `json_build_object` looks each value's type up in the catalog, for each row: ten times as much work.
//!
//! Times are told in UTC, whatever the session's zone is: both doors answer alike.

use super::{Arg, Row, execute};
use pgrx::{FromDatum, PgTupleDesc, pg_sys};
use std::ffi::CStr;

/// What a statement's rows are as JSON objects.
#[must_use]
pub fn objects(sql: &str, args: &[Arg]) -> Vec<String> {
    execute(sql, args, |row| row.object(0)).0
}

/// The first row as a JSON object.
#[must_use]
pub fn object(sql: &str, args: &[Arg]) -> Option<String> {
    objects(sql, args).into_iter().next()
}

impl Row<'_> {
    /// The columns as a JSON object, but for so many at the end.
    #[must_use]
    pub fn object(&self, left_out: usize) -> String {
        let mut text = String::new();
        self.write_object(&mut text, left_out);
        text
    }

    /// The same at the end of a text.
    pub fn write_object(&self, text: &mut String, left_out: usize) {
        let columns = self.columns();
        text.reserve(64 * columns.len());
        for (at, column) in columns.iter().take(columns.len().saturating_sub(left_out)).enumerate() {
            text.push(if at == 0 { '{' } else { ',' });
            string(text, column.name());
            text.push(':');
            match self.datum(at) {
                // SAFETY: the descriptor says what the value is.
                Some(datum) => unsafe { value(text, datum, column.atttypid) },
                None => text.push_str("null"),
            }
        }
        text.push('}');
    }

    /// The last column, which is a `uuid`.
    #[must_use]
    pub fn last_uuid(&self) -> Option<uuid::Uuid> {
        self.uuid(i32::try_from(self.columns().len()).ok()?)
    }

    /// The value of the last column but one, as the text of a JSON member.
    #[must_use]
    pub fn last_but_one_text(&self) -> String {
        let columns = self.columns();
        let at = columns.len().saturating_sub(2);
        let (Some(datum), Some(column)) = (self.datum(at), columns.get(at)) else { return String::new() };
        let mut text = String::new();
        // SAFETY: the descriptor says what the value is.
        unsafe { value(&mut text, datum, column.atttypid) };
        serde_json::from_str(&text).unwrap_or(text)
    }

    fn columns(&self) -> PgTupleDesc<'_> {
        // SAFETY: the descriptor is the result's, which is alive.
        unsafe { PgTupleDesc::from_pg_unchecked(self.descriptor) }
    }

    fn datum(&self, at: usize) -> Option<pg_sys::Datum> {
        let mut is_null = false;
        // SAFETY: as in `get`.
        let datum = unsafe { pg_sys::SPI_getbinval(self.tuple, self.descriptor, i32::try_from(at + 1).unwrap_or(0), &raw mut is_null) };
        (!is_null).then_some(datum)
    }
}

/// # Safety
/// The datum is a value of the type, and not null.
unsafe fn value(text: &mut String, datum: pg_sys::Datum, kind: pg_sys::Oid) {
    // SAFETY: as the caller promises.
    unsafe {
        match kind {
            pg_sys::UUIDOID => {
                let id = pgrx::Uuid::from_datum(datum, false).map(|id| uuid::Uuid::from_bytes(*id.as_bytes())).unwrap_or_default();
                text.push('"');
                text.push_str(id.hyphenated().encode_lower(&mut uuid::Uuid::encode_buffer()));
                text.push('"');
            }
            pg_sys::TEXTOID | pg_sys::VARCHAROID => string(text, <&str>::from_datum(datum, false).unwrap_or_default()),
            pg_sys::BOOLOID => text.push_str(if datum.value() != 0 { "true" } else { "false" }),
            pg_sys::TIMESTAMPTZOID => {
                let mut buffer = [0; 128];
                let utc = 0_i32;
                let written = pg_sys::JsonEncodeDateTime(buffer.as_mut_ptr(), datum, kind, &raw const utc);
                text.push('"');
                text.push_str(&CStr::from_ptr(written).to_string_lossy());
                text.push('"');
            }
            pg_sys::INT2OID | pg_sys::INT4OID | pg_sys::INT8OID | pg_sys::NUMERICOID | pg_sys::JSONOID | pg_sys::JSONBOID => {
                text.push_str(&output(datum, kind))
            }
            // As its text: enumerations, dates, addresses.
            _ => string(text, &output(datum, kind)),
        }
    }
}

/// # Safety
/// As in [`value`].
unsafe fn output(datum: pg_sys::Datum, kind: pg_sys::Oid) -> String {
    // SAFETY: as the caller promises; what the function returns is copied.
    unsafe {
        let (mut function, mut is_variable) = (pg_sys::InvalidOid, false);
        pg_sys::getTypeOutputInfo(kind, &raw mut function, &raw mut is_variable);
        CStr::from_ptr(pg_sys::OidOutputFunctionCall(function, datum)).to_string_lossy().into_owned()
    }
}

fn string(text: &mut String, value: &str) {
    // Of a text this can't fail, and neither can writing to memory.
    let mut bytes = std::mem::take(text).into_bytes();
    let _ = serde_json::to_writer(&mut bytes, value);
    *text = String::from_utf8(bytes).unwrap_or_default();
}
