//! A row as a record of CSV (RFC 4180), for people and their spreadsheets.

use super::json_row::JsonRow;
use crate::error::Error;
use csv::{Terminator, Writer, WriterBuilder};
use std::borrow::Cow;

/// A writer of records that end in CRLF, as the RFC wants it.
#[must_use]
pub fn writer() -> Writer<Vec<u8>> {
    WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::new())
}

/// Appends the row's columns.
pub fn append(row: &JsonRow<'_>, columns: &[String], out: &mut Writer<Vec<u8>>) -> Result<(), Error> {
    for column in columns {
        let json = row.get(column);
        let field = match json.as_bytes().first() {
            Some(b'"') => harmless(row.text(column).unwrap_or_default()),
            Some(b'n') => Cow::Borrowed(""),
            _ => Cow::Borrowed(json),
        };
        out.write_field(field.as_ref()).map_err(broken)?;
    }
    out.write_record(None::<&[u8]>).map_err(broken)
}

/// A text that a spreadsheet would read as a formula gets an apostrophe before it: names and addresses are what strangers chose, and opening the file must
/// not run them (OWASP, "CSV Injection").
fn harmless(text: String) -> Cow<'static, str> {
    Cow::Owned(if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text })
}

pub fn broken(error: impl std::fmt::Display) -> Error {
    Error::Storage(format!("csv: {error}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_unescaped_and_quoted_and_formulas_are_harmless() {
        let line = r#"{"a":"x,\"y\"\nz","b":null,"c":-1,"d":"=1+1","e":["p","q"],"f":"","g":true}"#;
        let mut out = writer();
        append(&JsonRow::parse(line).unwrap(), &["a", "b", "c", "d", "e", "f", "g"].map(str::to_owned), &mut out).unwrap();
        let text = String::from_utf8(out.into_inner().unwrap()).unwrap();
        assert_eq!(text, "\"x,\"\"y\"\"\nz\",,-1,'=1+1,\"[\"\"p\"\",\"\"q\"\"]\",,true\r\n");
    }
}
