//! Rows as JSON objects, a member for each column by its name. `json_build_object` looks each value's type up in the catalog, for each row: ten times as much work.
//!
//! Times are told in UTC, whatever the session's zone is: both doors answer alike.

use super::{Arg, Row, execute};
use pgrx::{FromDatum, PgTupleDesc, pg_sys};
use std::ffi::CStr;

/// What a statement's rows are as JSON objects.
#[must_use]
pub fn objects(sql: &str, args: &[Arg]) -> Vec<String> {
    let mut shape = None;
    execute(sql, args, |row| {
        let mut bytes = Vec::new();
        shape.get_or_insert_with(|| Shape::of(row, 0)).write(row, &mut bytes);
        text_of(bytes)
    })
    .0
}

/// The first row as a JSON object.
#[must_use]
pub fn object(sql: &str, args: &[Arg]) -> Option<String> {
    objects(sql, args).into_iter().next()
}

/// The text that was written here.
#[must_use]
pub fn text_of(bytes: Vec<u8>) -> String {
    let Ok(text) = String::from_utf8(bytes) else { pgrx::error!("JSON that is not UTF-8") };
    text
}

/// How the rows of one result become JSON.
pub struct Shape {
    /// Each member's name, as it is written, and its value's type.
    members: Vec<(Vec<u8>, pg_sys::Oid)>,
    /// Room for the values of a row, the columns that are left out among them.
    values: Vec<pg_sys::Datum>,
    nulls: Vec<bool>,
}

impl Shape {
    /// The columns of such rows, but for so many at the end.
    #[must_use]
    pub fn of(row: &Row, left_out: usize) -> Self {
        let columns = row.columns();
        let member = |column: &pg_sys::FormData_pg_attribute| {
            let mut name = Vec::new();
            string(&mut name, column.name());
            name.push(b':');
            (name, column.atttypid)
        };
        Self {
            members: columns.iter().take(columns.len().saturating_sub(left_out)).map(member).collect(),
            values: vec![pg_sys::Datum::null(); columns.len()],
            nulls: vec![true; columns.len()],
        }
    }

    /// Writes a row of the result behind what is there.
    pub fn write(&mut self, row: &Row, bytes: &mut Vec<u8>) {
        // SAFETY: there is room for each attribute of the descriptor, which is the tuple's.
        unsafe { pg_sys::heap_deform_tuple(row.tuple, row.descriptor, self.values.as_mut_ptr(), self.nulls.as_mut_ptr()) };
        bytes.push(b'{');
        for (at, ((name, kind), (datum, is_null))) in self.members.iter().zip(self.values.iter().zip(&self.nulls)).enumerate() {
            if at > 0 {
                bytes.push(b',');
            }
            bytes.extend_from_slice(name);
            if *is_null {
                bytes.extend_from_slice(b"null");
            } else {
                // SAFETY: the descriptor says what the value is.
                unsafe { value(bytes, *datum, *kind) };
            }
        }
        bytes.push(b'}');
    }
}

impl Row<'_> {
    /// The columns as a JSON object, but for so many at the end.
    #[must_use]
    pub fn object(&self, left_out: usize) -> String {
        let mut bytes = Vec::new();
        Shape::of(self, left_out).write(self, &mut bytes);
        text_of(bytes)
    }

    /// The last column, which is a `uuid`.
    #[must_use]
    pub fn last_uuid(&self) -> Option<uuid::Uuid> {
        self.uuid(i32::try_from(self.columns().len()).ok()?)
    }

    /// The value of the last column but one, as a JSON member has it.
    #[must_use]
    pub fn last_but_one_text(&self) -> String {
        let columns = self.columns();
        let at = columns.len().saturating_sub(2);
        let Some(column) = columns.get(at) else { return String::new() };
        let mut is_null = false;
        let mut bytes = Vec::new();
        // SAFETY: as in `get`; the descriptor says what the value is.
        unsafe {
            let datum = pg_sys::SPI_getbinval(self.tuple, self.descriptor, i32::try_from(at + 1).unwrap_or(0), &raw mut is_null);
            if !is_null {
                value(&mut bytes, datum, column.atttypid);
            }
        }
        let text = text_of(bytes);
        serde_json::from_str(&text).unwrap_or(text)
    }

    /// A `timestamptz` as JSON tells it, without the quotes.
    #[must_use]
    pub fn instant(&self, column: i32) -> Option<String> {
        let datum = self.get::<pg_sys::Datum>(column)?;
        let mut bytes = Vec::new();
        // SAFETY: the caller says that it is one.
        unsafe { instant(&mut bytes, datum) };
        Some(text_of(bytes))
    }

    fn columns(&self) -> PgTupleDesc<'_> {
        // SAFETY: the descriptor is the result's, which is alive.
        unsafe { PgTupleDesc::from_pg_unchecked(self.descriptor) }
    }
}

/// # Safety
/// The datum is a `timestamptz`.
unsafe fn instant(bytes: &mut Vec<u8>, datum: pg_sys::Datum) {
    let mut buffer = [0; 128];
    let utc = 0_i32;
    // SAFETY: there is room for what is written, and it ends with a null byte.
    unsafe {
        let written = pg_sys::JsonEncodeDateTime(buffer.as_mut_ptr(), datum, pg_sys::TIMESTAMPTZOID, &raw const utc);
        bytes.extend_from_slice(CStr::from_ptr(written).to_bytes());
    }
}

/// # Safety
/// The datum is a value of the type, and not null.
unsafe fn value(bytes: &mut Vec<u8>, datum: pg_sys::Datum, kind: pg_sys::Oid) {
    // SAFETY: as the caller promises.
    unsafe {
        match kind {
            pg_sys::UUIDOID => {
                let id = uuid::Uuid::from_bytes(datum.cast_mut_ptr::<[u8; 16]>().read());
                bytes.push(b'"');
                bytes.extend_from_slice(id.hyphenated().encode_lower(&mut uuid::Uuid::encode_buffer()).as_bytes());
                bytes.push(b'"');
            }
            pg_sys::TEXTOID | pg_sys::VARCHAROID => string(bytes, <&str>::from_datum(datum, false).unwrap_or_default()),
            pg_sys::BOOLOID => bytes.extend_from_slice(if datum.value() != 0 { b"true" } else { b"false" }),
            pg_sys::TIMESTAMPTZOID => {
                bytes.push(b'"');
                instant(bytes, datum);
                bytes.push(b'"');
            }
            pg_sys::INT2OID | pg_sys::INT4OID | pg_sys::INT8OID | pg_sys::NUMERICOID | pg_sys::JSONOID | pg_sys::JSONBOID => {
                bytes.extend_from_slice(output(datum, kind).to_bytes());
            }
            // As its text: enumerations, dates, addresses.
            _ => string(bytes, &output(datum, kind).to_string_lossy()),
        }
    }
}

/// # Safety
/// As in [`value`].
unsafe fn output<'a>(datum: pg_sys::Datum, kind: pg_sys::Oid) -> &'a CStr {
    // SAFETY: as the caller promises; what the function returns lives as long as the current memory.
    unsafe {
        let (mut function, mut is_variable) = (pg_sys::InvalidOid, false);
        pg_sys::getTypeOutputInfo(kind, &raw mut function, &raw mut is_variable);
        CStr::from_ptr(pg_sys::OidOutputFunctionCall(function, datum))
    }
}

fn string(bytes: &mut Vec<u8>, value: &str) {
    // Of a text this can't fail, and neither can writing to memory.
    let _ = serde_json::to_writer(bytes, value);
}
