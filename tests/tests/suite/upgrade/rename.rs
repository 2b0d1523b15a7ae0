//! The example of docs/migrations.md, under load: a column gets another name, and nobody notices.

use nebula_tests::{
    Database,
    cluster::{postgres_program, workspace},
};
use postgres::Client;
use std::{
    collections::BTreeMap,
    fs,
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// The page's statements, in their order: make, expand, backfill, promise, contract.
fn steps() -> [String; 5] {
    let page = fs::read_to_string(workspace().join("docs/migrations.md")).unwrap();
    let example = page.split("## Example: ").nth(1).unwrap();
    let fences = example.split("```sql\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned());
    fences.collect::<Vec<_>>().try_into().unwrap()
}

#[track_caller]
fn psql(database: &Database, statements: &str) {
    let output = Command::new(postgres_program("psql"))
        .env_clear()
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", &database.url("postgres"), "-f", "-"])
        .stdin(file_of(statements))
        .current_dir("/")
        .output()
        .unwrap();
    assert!(output.status.success(), "{statements}\n{}", String::from_utf8_lossy(&output.stderr));
}

fn file_of(text: &str) -> fs::File {
    let path = std::env::temp_dir().join(format!("nebula-step-{}-{:?}.sql", std::process::id(), thread::current().id()));
    fs::write(&path, text).unwrap();
    let file = fs::File::open(&path).unwrap();
    fs::remove_file(path).unwrap();
    file
}

/// What programs of one shape do to the rows that are theirs, and to everybody's.
struct Programs<'a> {
    database: &'a Database,
    /// The name that they know.
    column: &'static str,
    is_over: AtomicBool,
    turns: AtomicUsize,
    slowest: Mutex<Duration>,
    /// The last name that a writer of this shape gave a row, and was told is there.
    written: Mutex<BTreeMap<i32, i64>>,
    problems: Mutex<Vec<String>>,
}

impl<'a> Programs<'a> {
    fn new(database: &'a Database, column: &'static str) -> Self {
        let (is_over, turns) = (AtomicBool::new(false), AtomicUsize::new(0));
        let (slowest, written, problems) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { database, column, is_over, turns, slowest, written, problems }
    }

    fn each_turn(&self, mut turn: impl FnMut(&mut Client, i64) -> Result<(), String>) {
        let mut client = self.database.superuser();
        for number in 1.. {
            if self.is_over.load(Ordering::Relaxed) {
                return;
            }
            let began = Instant::now();
            if let Err(problem) = turn(&mut client, number) {
                self.problems.lock().unwrap().push(format!("{}: {problem}", self.column));
            }
            let mut slowest = self.slowest.lock().unwrap();
            *slowest = (*slowest).max(began.elapsed());
            drop(slowest);
            self.turns.fetch_add(1, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Gives rows ever higher numbers for names, and makes new rows.
    fn write(&self, first_row: i32) {
        let update = format!("update shop.customer set {} = $2 where id = $1", self.column);
        let insert = format!("insert into shop.customer (id, {}) values ($1, $2)", self.column);
        self.each_turn(|client, number| {
            let is_new = number % 5 == 0;
            let row =
                if is_new { first_row + 100_000 + i32::try_from(number).unwrap() } else { first_row + i32::try_from(number % 50).unwrap() };
            let sql = if is_new { &insert } else { &update };
            let count = client.execute(sql, &[&row, &format!("name {number}")]).map_err(|error| error.to_string())?;
            if count != 1 {
                return Err(format!("{count} rows for {row}"));
            }
            self.written.lock().unwrap().insert(row, number);
            Ok(())
        });
    }

    /// Reads rows of all writers: a name is there, and never an older one than before.
    fn read(&self, first_rows: &[i32]) {
        let select = format!("select id, {} from shop.customer where id = any ($1)", self.column);
        let rows = first_rows.iter().flat_map(|first| (0..50).map(move |row| first + row)).collect::<Vec<_>>();
        let mut seen = BTreeMap::new();
        self.each_turn(|client, _| {
            let found = client.query(&select, &[&rows]).map_err(|error| error.to_string())?;
            if found.len() != rows.len() {
                return Err(format!("{} rows of {}", found.len(), rows.len()));
            }
            for row in found {
                let (id, name) = (row.get::<_, i32>(0), row.get::<_, Option<String>>(1));
                let number = name.as_deref().and_then(|name| name.strip_prefix("name ")?.parse::<i64>().ok());
                let number = number.ok_or_else(|| format!("{id} is called {name:?}"))?;
                let before = seen.insert(id, number).unwrap_or(0);
                if number < before {
                    return Err(format!("{id} went back from {before} to {number}"));
                }
            }
            Ok(())
        });
    }

    /// Waits for so many turns more.
    #[track_caller]
    fn go_on(&self, turns: usize) {
        let target = self.turns.load(Ordering::Relaxed) + turns;
        nebula_tests::eventually("programs go on", || self.turns.load(Ordering::Relaxed) >= target);
    }
}

#[test]
fn a_column_gets_another_name_while_programs_of_both_shapes_use_it() {
    const OLD_ROWS: i32 = 1;
    const NEW_ROWS: i32 = 1001;
    let database = Database::new();
    let [make, expand, backfill, promise, contract] = steps();
    psql(&database, &make);
    let (old, new) = (Programs::new(&database, "fullname"), Programs::new(&database, "display_name"));
    thread::scope(|scope| {
        let programs = std::panic::AssertUnwindSafe(|| {
            scope.spawn(|| old.write(OLD_ROWS));
            scope.spawn(|| old.read(&[OLD_ROWS, NEW_ROWS]));
            old.go_on(100);
            psql(&database, &expand);
            old.go_on(100);
            psql(&database, &backfill);
            old.go_on(100);
            psql(&database, &promise);
            old.go_on(100);
            scope.spawn(|| new.write(NEW_ROWS));
            scope.spawn(|| new.read(&[OLD_ROWS, NEW_ROWS]));
            new.go_on(300);
            old.go_on(100);
            old.is_over.store(true, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(200));
            psql(&database, &contract);
            new.go_on(200);
        });
        let outcome = std::panic::catch_unwind(programs);
        old.is_over.store(true, Ordering::Relaxed);
        new.is_over.store(true, Ordering::Relaxed);
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    });
    let columns = database.texts(
        "select attname::text from pg_attribute where attrelid = 'shop.customer'::regclass and attnum > 0 and not attisdropped and attnotnull order by 1",
        &[],
    );
    assert_eq!(columns, ["display_name", "id"]);
    for programs in [&old, &new] {
        let problems = programs.problems.lock().unwrap();
        assert!(problems.is_empty(), "{} problems: {:?}", problems.len(), problems.first());
        let slowest = *programs.slowest.lock().unwrap();
        assert!(slowest < Duration::from_secs(1), "{}: a turn took {slowest:?}", programs.column);
        // Nothing that was written is lost: of either shape, before, while and after.
        let written = programs.written.lock().unwrap();
        assert!(written.len() > 60, "{}", written.len());
        let mut superuser = database.superuser();
        for (row, number) in written.iter() {
            let name: String = superuser.query_one("select display_name from shop.customer where id = $1", &[row]).unwrap().get(0);
            assert_eq!(name, format!("name {number}"), "row {row}");
        }
        println!("{}: {} turns, the slowest {slowest:?}", programs.column, programs.turns.load(Ordering::Relaxed));
    }
    assert_eq!(database.number("select count(*) from shop.customer where display_name is null", &[]), 0);
}
