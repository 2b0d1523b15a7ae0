//! The SQL of the entry functions is written by hand: here it is held against the Rust that it calls. A difference would be read as other bytes.

use nebula_tests::Database;
use std::{collections::BTreeMap, fs, path::Path};

/// A declaration, as the Rust source or the catalog of Postgres has it.
#[derive(Debug, Default)]
struct Function<T> {
    args: Vec<(String, T)>,
    /// The columns, where it returns a table.
    table: Option<Vec<(String, T)>>,
    returns: T,
    /// Of SQL.
    is_strict: bool,
}

/// What a SQL type may be on the Rust side, without `Option`.
fn sql_types(rust: &str) -> &'static [&'static str] {
    match rust {
        "pgrx::Uuid" => &["uuid"],
        // `json` is the same bytes as `text`; `jsonb` is not.
        "&str" | "&'static str" | "String" => &["text", "json"],
        // Passed on as it is.
        "AnyElement" => &["jsonb"],
        "i32" => &["integer"],
        "i64" => &["bigint"],
        "Vec<Option<pgrx::Uuid>>" => &["uuid[]"],
        "Vec<Option<i32>>" => &["integer[]"],
        "Interval" => &["interval"],
        "TimestampWithTimeZone" => &["timestamp with time zone"],
        "bool" => &["boolean"],
        "&[u8]" | "Vec<u8>" => &["bytea"],
        "trigger" => &["trigger"],
        "Oid" => &["regprocedure"],
        "" => &["void"],
        _ => &[],
    }
}

fn without_option(rust: &str) -> Option<&str> {
    rust.strip_prefix("Option<")?.strip_suffix('>')
}

/// Splits at the commas outside of brackets.
fn parts(list: &str) -> Vec<String> {
    let (mut depth, mut parts) = (0, vec![String::new()]);
    for character in list.chars() {
        depth += match character {
            '(' | '<' | '[' => 1,
            ')' | '>' | ']' => -1,
            _ => 0,
        };
        if character == ',' && depth == 0 {
            parts.push(String::new());
        } else {
            parts.last_mut().unwrap().push(character);
        }
    }
    parts.into_iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

/// The text from `open` to the bracket that closes it, and the rest.
fn bracketed(text: &str) -> (&str, &str) {
    let mut depth = 0;
    for (at, character) in text.char_indices() {
        depth += i32::from(character == '(') - i32::from(character == ')');
        if depth == 0 {
            return (&text[1..at], &text[at + 1..]);
        }
    }
    panic!("a bracket stays open: {text}");
}

/// Every function of the source that carries one of pgrx's attributes.
fn in_rust() -> BTreeMap<String, Function<String>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("extension/src");
    let files = fs::read_dir(folder.join("entry")).unwrap().map(|file| file.unwrap().path()).chain([folder.join("entry.rs")]);
    let source = files.map(|file| fs::read_to_string(file).unwrap()).collect::<String>();
    let source = source.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut functions = BTreeMap::new();
    for (attribute, is_trigger) in [("#[pg_extern", false), ("#[pg_trigger", true)] {
        for after in source.split(attribute).skip(1) {
            let after =
                after.strip_prefix("(sql = false)]").unwrap_or_else(|| panic!("SQL is written by hand: {attribute}{}", &after[..40]));
            let declaration = after.split_once(" fn ").unwrap().1;
            let name_ends = declaration.find(['(', '<']).unwrap();
            let (name, rest) = declaration.split_at(name_ends);
            let (args, rest) = bracketed(&rest[rest.find('(').unwrap()..]);
            let returns = rest.split_once('{').unwrap().0.trim().strip_prefix("->").unwrap_or_default().trim();
            // As if it stood in one line.
            let returns = returns.replace("< ", "<").replace(", >", ">").replace("( ", "(").replace(", )", ")");
            let returns = returns.as_str();
            let mut function = Function::default();
            if is_trigger {
                function.returns = "trigger".to_owned();
            } else {
                let pair = |arg: &String| {
                    arg.split_once(':')
                        .map(|(name, kind)| (name.trim().trim_start_matches("r#").to_owned(), kind.trim().to_owned()))
                        .unwrap()
                };
                function.args = parts(args).iter().map(pair).collect();
                // However it is broken into lines.
                let row = returns.replace("Table< ", "Table<").replace(", )", ")").replace("), >", ")>").replace("( ", "(");
                if let Some(row) = row.strip_prefix("Table<") {
                    let row = row.trim().strip_prefix('(').unwrap().strip_suffix(")>").unwrap();
                    let column = |column: &String| {
                        let (name, kind) = column.strip_prefix("name!(").unwrap().strip_suffix(')').unwrap().split_once(',').unwrap();
                        (name.trim().to_owned(), kind.trim().to_owned())
                    };
                    function.table = Some(parts(row).iter().map(column).collect());
                } else {
                    function.returns = returns.to_owned();
                }
            }
            assert!(functions.insert(name.to_owned(), function).is_none(), "{name} stands twice");
        }
    }
    functions
}

/// Every C function of the schema, by the symbol that it calls.
fn in_sql(database: &Database) -> BTreeMap<String, (String, Function<String>)> {
    let sql = "select p.prosrc, p.proname::text, p.proisstrict, p.proretset, p.prorettype::regtype::text, \
                 coalesce(p.proargnames, '{}'), coalesce(p.proargmodes::text[], '{}'), \
                 coalesce(p.proallargtypes, p.proargtypes::oid[])::regtype[]::text[] \
               from pg_proc p join pg_language l on l.oid = p.prolang \
               where p.pronamespace = 'nebula'::regnamespace and l.lanname = 'c'";
    let mut functions = BTreeMap::new();
    for row in database.superuser().query(sql, &[]).unwrap() {
        let (symbol, name, returns_set): (String, String, bool) = (row.get(0), row.get(1), row.get(3));
        let (names, modes, kinds): (Vec<String>, Vec<String>, Vec<String>) = (row.get(5), row.get(6), row.get(7));
        let mut function = Function { is_strict: row.get(2), ..Function::default() };
        assert!(modes.iter().all(|mode| mode == "i" || mode == "t"), "{name} has arguments of modes {modes:?}");
        assert_eq!(names.len(), kinds.len(), "{name} has arguments without names");
        assert_eq!(returns_set, modes.iter().any(|mode| mode == "t"), "{name} returns a set, but no table, or a table, but no set");
        let mut columns = Vec::new();
        for (at, pair) in names.into_iter().zip(kinds).enumerate() {
            if modes.get(at).is_some_and(|mode| mode == "t") { columns.push(pair) } else { function.args.push(pair) }
        }
        if returns_set {
            function.table = Some(columns);
        } else {
            function.returns = row.get(4);
        }
        assert!(functions.insert(symbol.clone(), (name, function)).is_none(), "{symbol} is declared twice");
    }
    functions
}

#[track_caller]
fn agree(what: &str, rust: &str, sql: &str) {
    assert!(sql_types(rust).contains(&sql), "{what} is {rust} in Rust and {sql} in SQL");
}

#[test]
fn every_entry_function_is_declared_in_sql_as_it_is_in_rust() {
    let (rust, sql) = (in_rust(), in_sql(&Database::new()));
    assert!(rust.len() > 20, "the source was not understood: {:?}", rust.keys());
    let symbols = rust.keys().map(|name| format!("{name}_wrapper")).collect::<Vec<_>>();
    assert_eq!(sql.keys().cloned().collect::<Vec<_>>(), {
        let mut symbols = symbols.clone();
        symbols.sort_unstable();
        symbols
    });
    for (name, ours) in &rust {
        let (sql_name, theirs) = &sql[&format!("{name}_wrapper")];
        assert_eq!(sql_name, name);
        let names = |args: &[(String, String)]| args.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&theirs.args), names(&ours.args), "the arguments of {name}");
        for ((arg, rust), (_, sql)) in ours.args.iter().zip(&theirs.args) {
            agree(&format!("{name}: {arg}"), without_option(rust).unwrap_or(rust), sql);
            // A null where Rust has no Option is an error of pgrx's; a STRICT function never sees one.
            assert_eq!(without_option(rust).is_some(), !theirs.is_strict, "{name}: {arg} is {rust}, and STRICT is {}", theirs.is_strict);
        }
        match (&ours.table, &theirs.table) {
            (None, None) => agree(&format!("{name}: the result"), without_option(&ours.returns).unwrap_or(&ours.returns), &theirs.returns),
            (Some(ours), Some(theirs)) => {
                assert_eq!(names(theirs), names(ours), "the columns of {name}");
                for ((column, rust), (_, sql)) in ours.iter().zip(theirs) {
                    agree(&format!("{name}: column {column}"), without_option(rust).unwrap_or(rust), sql);
                }
            }
            (ours, theirs) => panic!("{name} returns {ours:?} in Rust and {theirs:?} in SQL"),
        }
    }
}
