//! The only file that touches Postgres' C interface: kept plans, a change of role, callbacks, the audit's transition tables.
//!
//! Why not pgrx's own `Spi`: its `update()` takes a transaction id even for a SELECT, its `select()` reads with the caller's old snapshot, and
//! what locks or decides must do neither (pitfalls). Every call here runs with a fresh snapshot; only a statement that writes takes an id.
//!
//! An error of Postgres unwinds as a Rust panic up to the entry function and is raised again there; nothing catches it on the way
//! (catching without a subtransaction has committed duplicate keys). Guards restore memory on the way up.
#![allow(unsafe_code)]

pub mod activity;
pub mod direct;
mod json;
pub mod jsonb;
mod memory;
mod rights_change;
pub mod row_security;
mod settings;
pub mod transition;

pub use rights_change::{
    announce, global_rights_generation, heard_generation, heard_global_generation, learn_sentinel, rights_generation,
    tenant_rights_generation,
};
pub use settings::{looking_up, reading_all};

pub use json::{Shape, object, objects, text_of};

use pgrx::{FromDatum, IntoDatum, PgTrigger, datum::TimestampWithTimeZone, pg_sys};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{
    cell::{Cell, RefCell},
    cmp::Ordering,
    collections::HashMap,
    ffi::{CStr, CString},
};
use uuid::Uuid;

const POSTGRES_EPOCH_MICROSECONDS: i64 = 946_684_800_000_000;

/// A parameter of a statement, by Postgres type.
#[derive(Clone, Copy, Debug)]
pub enum Arg<'a> {
    Uuid(Uuid),
    OptUuid(Option<Uuid>),
    Text(&'a str),
    OptText(Option<&'a str>),
    SmallInt(i16),
    Int(i32),
    BigInt(i64),
    Ints(&'a [i32]),
    BigInts(&'a [i64]),
    Bool(bool),
    Bytes(&'a [u8]),
    OptBytes(Option<&'a [u8]>),
    Uuids(&'a [Uuid]),
    Texts(&'a [String]),
    /// `jsonb`, of its text.
    Json(&'a str),
    OptInet(Option<&'a str>),
    /// `timestamptz`, of its text.
    Timestamp(&'a str),
    At(TimestampWithTimeZone),
    /// `now()`.
    Now,
    /// A value that was made once for many rows.
    Made(Made),
}

impl Made {
    /// An argument of a function, for as long as that is called.
    #[must_use]
    pub fn of(argument: &pgrx::AnyElement) -> Self {
        Self { datum: Some(argument.datum()), oid: argument.oid() }
    }
}

/// A value of Postgres', for as long as the memory that it was made in.
#[derive(Clone, Copy, Debug)]
pub struct Made {
    /// `None`: null.
    datum: Option<pg_sys::Datum>,
    oid: pg_sys::Oid,
}

impl Arg<'_> {
    fn oid(self) -> pg_sys::Oid {
        match self {
            Arg::Uuid(_) | Arg::OptUuid(_) => pg_sys::UUIDOID,
            Arg::Text(_) | Arg::OptText(_) => pg_sys::TEXTOID,
            Arg::SmallInt(_) => pg_sys::INT2OID,
            Arg::Int(_) => pg_sys::INT4OID,
            Arg::BigInt(_) => pg_sys::INT8OID,
            Arg::Ints(_) => pg_sys::INT4ARRAYOID,
            Arg::BigInts(_) => pg_sys::INT8ARRAYOID,
            Arg::Bool(_) => pg_sys::BOOLOID,
            Arg::Bytes(_) | Arg::OptBytes(_) => pg_sys::BYTEAOID,
            Arg::Uuids(_) => pg_sys::UUIDARRAYOID,
            Arg::Texts(_) => pg_sys::TEXTARRAYOID,
            Arg::Json(_) => pg_sys::JSONBOID,
            Arg::OptInet(_) => pg_sys::INETOID,
            Arg::Timestamp(_) | Arg::At(_) | Arg::Now => pg_sys::TIMESTAMPTZOID,
            Arg::Made(made) => made.oid,
        }
    }

    fn datum(self) -> Option<pg_sys::Datum> {
        let uuid = |id: Uuid| pgrx::Uuid::from_bytes(*id.as_bytes());
        match self {
            Arg::Uuid(id) => uuid(id).into_datum(),
            Arg::OptUuid(id) => id.map(uuid).into_datum(),
            Arg::Text(text) => text.into_datum(),
            Arg::OptText(text) => text.into_datum(),
            Arg::SmallInt(number) => number.into_datum(),
            Arg::Int(number) => number.into_datum(),
            Arg::BigInt(number) => number.into_datum(),
            Arg::Ints(numbers) => numbers.to_vec().into_datum(),
            Arg::BigInts(numbers) => numbers.to_vec().into_datum(),
            Arg::Bool(truth) => truth.into_datum(),
            Arg::Bytes(bytes) => bytes.into_datum(),
            Arg::OptBytes(bytes) => bytes.into_datum(),
            Arg::Uuids(ids) => ids.iter().copied().map(uuid).collect::<Vec<_>>().into_datum(),
            Arg::Texts(texts) => texts.to_vec().into_datum(),
            Arg::Json(text) => parse(pg_sys::jsonb_in, text),
            Arg::OptInet(text) => text.and_then(|text| parse(pg_sys::inet_in, text)),
            Arg::Timestamp(text) => parse(pg_sys::timestamptz_in, text),
            Arg::At(at) => at.into_datum(),
            // SAFETY: reads a variable of the backend.
            Arg::Now => unsafe { pg_sys::GetCurrentTransactionStartTimestamp() }.into_datum(),
            Arg::Made(made) => made.datum,
        }
    }

    /// Makes the value, for as long as the current memory lasts.
    #[must_use]
    pub fn make(self) -> Made {
        Made { oid: self.oid(), datum: self.datum() }
    }
}

/// What a type's input function makes of a text; one that it refuses is an error.
fn parse(input: unsafe fn(pg_sys::FunctionCallInfo) -> pg_sys::Datum, text: &str) -> Option<pg_sys::Datum> {
    let Ok(text) = CString::new(text) else { pgrx::error!("a value holds NUL") };
    // SAFETY: input functions of built-in types take a C string, the type's element and a modifier, and don't ask who calls.
    unsafe {
        pgrx::direct_function_call_as_datum(input, &[text.as_c_str().into_datum(), pg_sys::InvalidOid.into_datum(), (-1_i32).into_datum()])
    }
}

/// A sequence.
pub struct Sequence(pg_sys::Oid);

impl Sequence {
    /// By name, of the schema `nebula`. Where there is none, asking for a value raises.
    #[must_use]
    pub fn in_nebula(name: &CStr) -> Self {
        Self(relation_in_nebula(name).map_or(pg_sys::InvalidOid, pg_sys::Oid::from))
    }

    #[must_use]
    pub fn next(&self) -> i64 {
        // SAFETY: a built-in function; it raises where there is none, or the role may not use it.
        unsafe { pgrx::direct_function_call(pg_sys::nextval_oid, &[self.0.into_datum()]) }.unwrap_or_default()
    }
}

/// One row of a result; its values are copied out before the statement's memory is freed.
pub struct Row<'a> {
    tuple: pg_sys::HeapTuple,
    descriptor: pg_sys::TupleDesc,
    /// Where the columns stand in the tuple, if not in their order.
    attributes: Option<&'a [i32]>,
}

impl Row<'_> {
    fn get<T: FromDatum>(&self, column: i32) -> Option<T> {
        let at = |attributes: &[i32]| usize::try_from(column - 1).ok().and_then(|place| attributes.get(place).copied());
        let column = self.attributes.map_or(Some(column), at)?;
        let mut is_null = false;
        // SAFETY: tuple and descriptor belong to a result that is alive while `each` runs; SPI checks the column's number.
        unsafe {
            let datum = pg_sys::SPI_getbinval(self.tuple, self.descriptor, column, &raw mut is_null);
            T::from_datum(datum, is_null)
        }
    }

    /// The column (from 1) as text; null is `None`. The statement must cast it to text or json.
    #[must_use]
    pub fn text(&self, column: i32) -> Option<String> {
        self.get(column)
    }
    #[must_use]
    pub fn boolean(&self, column: i32) -> Option<bool> {
        self.get(column)
    }
    #[must_use]
    pub fn small(&self, column: i32) -> Option<i16> {
        self.get(column)
    }
    #[must_use]
    pub fn bigint(&self, column: i32) -> Option<i64> {
        self.get(column)
    }
    #[must_use]
    pub fn integer(&self, column: i32) -> Option<i32> {
        self.get(column)
    }
    #[must_use]
    pub fn timestamp(&self, column: i32) -> Option<TimestampWithTimeZone> {
        self.get(column)
    }
    /// A `timestamptz` in microseconds since the Unix epoch.
    #[must_use]
    pub fn microseconds(&self, column: i32) -> Option<i64> {
        self.get::<i64>(column).map(|at| at.saturating_add(POSTGRES_EPOCH_MICROSECONDS))
    }
    /// Whether a `nebula.status` is `ativo`.
    #[must_use]
    pub fn is_active(&self, column: i32) -> Option<bool> {
        self.get::<pg_sys::Oid>(column).map(|label| pgrx::enum_helper::lookup_enum_by_oid(label).0 == "ativo")
    }
    /// A `jsonb`; the outer `None` is null, the inner one an object without members.
    #[must_use]
    pub fn json(&self, column: i32) -> Option<Option<Value>> {
        let value = self.get::<pg_sys::Datum>(column)?;
        // SAFETY: the caller says that it is one.
        Some(if unsafe { jsonb::is_empty(value) } { None } else { self.get::<pgrx::JsonB>(column).map(|pgrx::JsonB(value)| value) })
    }
    #[must_use]
    pub fn bytes(&self, column: i32) -> Option<Vec<u8>> {
        self.get(column)
    }
    #[must_use]
    pub fn uuid(&self, column: i32) -> Option<Uuid> {
        self.get::<pgrx::Uuid>(column).map(|id| Uuid::from_bytes(*id.as_bytes()))
    }
    /// An array without nulls.
    #[must_use]
    pub fn uuids(&self, column: i32) -> Option<Vec<Uuid>> {
        self.get::<Vec<pgrx::Uuid>>(column).map(|ids| ids.iter().map(|id| Uuid::from_bytes(*id.as_bytes())).collect())
    }
}

#[derive(PartialEq, Eq, Hash)]
struct PlanKey {
    role: u32,
    sql: String,
}

thread_local! {
    /// Saved plans by role and text: Postgres revalidates them over DDL; a plan made for one role is never run by another.
    static PLANS: RefCell<HashMap<PlanKey, pg_sys::SPIPlanPtr>> = RefCell::new(HashMap::new());
    static WRITES: Cell<u64> = const { Cell::new(0) };
    static RUN_EXPOSED: Cell<Option<(u64, u32)>> = const { Cell::new(None) };
    static CATALOG_GENERATION: Cell<u64> = const { Cell::new(0) };
    static READS_LATEST: Cell<bool> = const { Cell::new(false) };
}

fn current_role() -> pg_sys::Oid {
    // SAFETY: reads a variable of the backend.
    unsafe { pg_sys::GetUserId() }
}

/// The kept plan of a statement. Always a generic one: every statement here finds its rows by keys, so that planning it again for each value would
/// cost more than it could find (measured: an eighth of a write).
fn plan(sql: &str, args: &[Arg]) -> pg_sys::SPIPlanPtr {
    let key = PlanKey { role: current_role().to_u32(), sql: sql.to_owned() };
    if let Some(plan) = PLANS.with_borrow(|plans| plans.get(&key).copied()) {
        return plan;
    }
    let Ok(text) = CString::new(sql) else { pgrx::error!("a statement holds NUL") };
    let mut types = args.iter().map(|arg| arg.oid()).collect::<Vec<_>>();
    let count = i32::try_from(types.len()).unwrap_or(i32::MAX);
    // SAFETY: `types` has `count` elements and outlives the call; SPI is connected; a failed parse raises.
    let plan = unsafe {
        let plan = pg_sys::SPI_prepare_cursor(text.as_ptr(), count, types.as_mut_ptr(), pg_sys::CURSOR_OPT_GENERIC_PLAN.cast_signed());
        if plan.is_null() || pg_sys::SPI_keepplan(plan) != 0 {
            pgrx::error!("a statement could not be prepared");
        }
        plan
    };
    PLANS.with_borrow_mut(|plans| plans.insert(key, plan));
    plan
}

/// Values and null flags as SPI wants them, allocated in the memory of the SPI call.
fn bind(args: &[Arg]) -> (Vec<pg_sys::Datum>, Vec<core::ffi::c_char>) {
    args.iter()
        .map(|arg| match arg.datum() {
            Some(datum) => (datum, b' '.cast_signed()),
            None => (pg_sys::Datum::null(), b'n'.cast_signed()),
        })
        .unzip()
}

/// Runs one statement and maps each of its rows.
fn execute<T>(sql: &str, args: &[Arg], mut each: impl FnMut(&Row) -> T) -> (Vec<T>, u64) {
    // SAFETY: SPI_connect and SPI_finish frame everything; an error in between unwinds to the entry function, and Postgres closes SPI with the
    // (sub)transaction. Values are copied by `each` before SPI_finish frees them.
    unsafe {
        if pg_sys::SPI_connect() != pg_sys::SPI_OK_CONNECT as i32 {
            pgrx::error!("SPI is not available");
        }
        let plan = plan(sql, args);
        let (mut values, nulls) = bind(args);
        let code = pg_sys::SPI_execute_plan(plan, values.as_mut_ptr(), nulls.as_ptr(), READS_LATEST.get(), 0);
        if code < 0 {
            pgrx::error!("a statement failed with SPI code {code}");
        }
        let processed = pg_sys::SPI_processed;
        if !matches!(u32::try_from(code), Ok(pg_sys::SPI_OK_SELECT)) {
            WRITES.set(WRITES.get().wrapping_add(processed));
        }
        let table = pg_sys::SPI_tuptable;
        let mut rows = Vec::new();
        if !table.is_null() {
            let count = usize::try_from((*table).numvals).unwrap_or(0);
            rows.reserve(count);
            for index in 0..count {
                pgrx::check_for_interrupts!();
                rows.push(each(&Row { tuple: *(*table).vals.add(index), descriptor: (*table).tupdesc, attributes: None }));
            }
        }
        pg_sys::SPI_finish();
        (rows, processed)
    }
}

/// All rows of a statement.
pub fn rows<T>(sql: &str, args: &[Arg], each: impl FnMut(&Row) -> T) -> Vec<T> {
    execute(sql, args, each).0
}

/// The first row, if there is one.
pub fn first<T>(sql: &str, args: &[Arg], each: impl FnMut(&Row) -> T) -> Option<T> {
    execute(sql, args, each).0.into_iter().next()
}

/// The first column of the first row as text.
#[must_use]
pub fn text(sql: &str, args: &[Arg]) -> Option<String> {
    first(sql, args, |row| row.text(1)).flatten()
}

/// Runs a statement for its effect; returns how many rows it touched.
pub fn run(sql: &str, args: &[Arg]) -> u64 {
    execute(sql, args, |_| ()).1
}

/// Runs the text of a migration: many statements, no parameters, no kept plan.
pub fn run_script(sql: &str) {
    let Ok(text) = CString::new(sql) else { pgrx::error!("a migration holds NUL") };
    // SAFETY: as in `execute`.
    unsafe {
        if pg_sys::SPI_connect() != pg_sys::SPI_OK_CONNECT as i32 {
            pgrx::error!("SPI is not available");
        }
        let code = pg_sys::SPI_execute(text.as_ptr(), false, 0);
        if code < 0 {
            pgrx::error!("a migration failed with SPI code {code}");
        }
        pg_sys::SPI_finish();
    }
}

/// How many rows this backend has written through this file: tells whether a refusal comes after an effect.
#[must_use]
pub fn writes() -> u64 {
    WRITES.get()
}

/// Lets reads inside `work` see what is committed now, also in a transaction whose own snapshot is older (repeatable read): a revocation
/// counts there too. Reads only.
pub fn reading_latest<T>(work: impl FnOnce() -> T) -> T {
    struct Guard(bool);
    impl Drop for Guard {
        fn drop(&mut self) {
            READS_LATEST.set(self.0);
        }
    }
    if is_parallel() {
        // Postgres takes no other snapshot while workers share this one.
        return work();
    }
    // SAFETY: pushed and popped around `work`; on an error the (sub)transaction's end unwinds the stack of snapshots.
    unsafe { pg_sys::PushActiveSnapshot(pg_sys::GetLatestSnapshot()) };
    let guard = Guard(READS_LATEST.replace(true));
    let result = work();
    drop(guard);
    // SAFETY: as above.
    unsafe { pg_sys::PopActiveSnapshot() };
    result
}

/// Whether the active snapshot is that of [`reading_latest`].
#[must_use]
fn is_reading_latest() -> bool {
    READS_LATEST.get()
}

/// How Postgres sorts two texts, by the database's collation.
#[must_use]
pub fn compare_texts(one: &str, other: &str) -> Ordering {
    let length = |text: &str| i32::try_from(text.len()).unwrap_or(i32::MAX);
    // SAFETY: reads so many bytes of each.
    let order = unsafe {
        pg_sys::varstr_cmp(one.as_ptr().cast(), length(one), other.as_ptr().cast(), length(other), pg_sys::DEFAULT_COLLATION_OID)
    };
    order.cmp(&0)
}

struct RoleGuard {
    role: pg_sys::Oid,
    security: i32,
    guc_level: i32,
    /// Whether settings that were made meanwhile last as long as they say, or go.
    keeps_settings: bool,
}

impl Drop for RoleGuard {
    fn drop(&mut self) {
        // SAFETY: gives back what `as_role` found. On an error Postgres has restored both with the (sub)transaction already;
        // then the user is set to the same value again, and AtEOXact_GUC is left to the transaction's end.
        unsafe {
            if !std::thread::panicking() {
                pg_sys::AtEOXact_GUC(self.keeps_settings, self.guc_level);
            }
            pg_sys::SetUserIdAndSecContext(self.role, self.security);
        }
    }
}

/// Runs `work` as one of our roles, with the search path pinned, as Postgres itself does around foreign-key checks and index builds.
///
/// The role is bound by RLS; `set role` is refused inside. See docs/decisions/0003-role-switch.md.
pub fn as_role<T>(name: &CStr, work: impl FnOnce() -> T) -> T {
    let _guard = switch_role(name, &PINNED, pg_sys::SECURITY_LOCAL_USERID_CHANGE);
    work()
}

/// Settings of whatever runs as another role. Compiling a statement that decides (jit) costs more than running it: a second for a person of 400 groups, each time.
const PINNED: [(&CStr, &CStr); 3] = [(c"search_path", c"pg_catalog, pg_temp"), (c"row_security", c"on"), (c"jit", c"off")];

/// What an exposed function's values are written in, whoever calls: the two doors answer alike.
const PINNED_FOR_EXPOSED: [(&CStr, &CStr); 5] = [
    (c"row_security", c"on"),
    (c"timezone", c"UTC"),
    (c"datestyle", c"ISO, YMD"),
    (c"intervalstyle", c"iso_8601"),
    (c"bytea_output", c"hex"),
];

/// A call of an exposed function: the arguments of `nebula.run_exposed`.
pub struct Exposed<'a> {
    /// As whom it runs.
    pub role: &'a str,
    pub statement: &'a str,
    pub arguments: &'a [Option<String>],
    pub search_path: &'a str,
    pub is_read: bool,
    pub max_rows: u32,
    pub max_bytes: i32,
    pub is_missing_if_null: bool,
}

/// Calls `nebula.run_exposed` as an unprivileged role, which itself may not: nobody else gets to choose the statement. `set role` is refused inside, and
/// so is whatever would outlive the call (SECURITY_RESTRICTED_OPERATION: temporary tables, held cursors, prepared statements, listening); settings go with it.
pub fn run_exposed(call: &Exposed) -> Vec<Option<String>> {
    let wrapper = run_exposed_oid();
    let Ok(role) = CString::new(call.role) else { pgrx::error!("a role's name holds NUL") };
    let arguments = [
        call.statement.into_datum(),
        call.arguments.to_vec().into_datum(),
        call.search_path.into_datum(),
        call.is_read.into_datum(),
        i64::from(call.max_rows).into_datum(),
        call.max_bytes.into_datum(),
        call.is_missing_if_null.into_datum(),
    ];
    let [Some(statement), Some(values), Some(path), Some(is_read), Some(rows), Some(bytes), Some(missing)] = arguments else {
        pgrx::error!("an argument of nebula.run_exposed is null");
    };
    let flags = pg_sys::SECURITY_LOCAL_USERID_CHANGE | pg_sys::SECURITY_RESTRICTED_OPERATION;
    let mut guard = switch_role(&role, &PINNED_FOR_EXPOSED, flags);
    guard.keeps_settings = false;
    // SAFETY: the arguments are of the types of the signature that was looked up; the function returns text[] and never null. A statement is running,
    // so that a snapshot is there. Privileges are not asked at this interface, which is the point.
    unsafe {
        let result = pg_sys::OidFunctionCall7Coll(
            pg_sys::Oid::from(wrapper),
            pg_sys::InvalidOid,
            statement,
            values,
            path,
            is_read,
            rows,
            bytes,
            missing,
        );
        Vec::<Option<String>>::from_datum(result, false).unwrap_or_default()
    }
}

/// The oid of `nebula.run_exposed`, looked up again when functions have changed.
fn run_exposed_oid() -> u32 {
    let generation = catalog_generation();
    if let Some((_, oid)) = RUN_EXPOSED.get().filter(|(at, _)| *at == generation) {
        return oid;
    }
    let oid = text("select to_regprocedure('nebula.run_exposed(text, text[], text, boolean, bigint, integer, boolean)')::oid::text", &[]);
    let Some(oid) = oid.and_then(|oid| oid.parse::<u32>().ok()) else {
        pgrx::error!("nebula.run_exposed is missing: alter extension nebula update");
    };
    RUN_EXPOSED.set(Some((generation, oid)));
    oid
}

/// What was written since this count was rolled back with a subtransaction.
pub fn forget_writes_since(count: u64) {
    WRITES.set(count);
}

/// Says that something was written outside of this file's statements.
pub fn count_write() {
    WRITES.set(WRITES.get().wrapping_add(1));
}

fn switch_role(name: &CStr, settings: &[(&CStr, &CStr)], flags: u32) -> RoleGuard {
    // SAFETY: plain backend calls; `get_role_oid` raises if the role is missing, before anything was changed.
    unsafe {
        let target = pg_sys::get_role_oid(name.as_ptr(), false);
        let (mut role, mut security) = (pg_sys::InvalidOid, 0);
        pg_sys::GetUserIdAndSecContext(&raw mut role, &raw mut security);
        let guc_level = pg_sys::NewGUCNestLevel();
        let guard = RoleGuard { role, security, guc_level, keeps_settings: true };
        for (name, value) in settings {
            settings::set(name, value);
        }
        pg_sys::SetUserIdAndSecContext(target, security | flags.cast_signed());
        guard
    }
}

/// The login's name: unlike the current user it can't be changed by `set role` or a definer function.
#[must_use]
pub fn session_user() -> String {
    // SAFETY: a palloc'd string that is copied at once.
    unsafe {
        let name = pg_sys::GetUserNameFromId(pg_sys::GetSessionUserId(), true);
        if name.is_null() { String::new() } else { CStr::from_ptr(name).to_string_lossy().into_owned() }
    }
}

/// Whether statements run as this role now.
#[must_use]
pub fn is_current_role(name: &CStr) -> bool {
    // SAFETY: a catalog look-up by name, answered from the syscache.
    unsafe { pg_sys::get_role_oid(name.as_ptr(), true) == pg_sys::GetUserId() }
}

/// The current role's oid: who called, in a function that is not a definer's.
#[must_use]
pub fn current_user_id() -> u32 {
    current_role().to_u32()
}

// What policies ask for each row, without the frame that pgrx puts around a call which may raise: these two return a variable.
unsafe extern "C-unwind" {
    fn GetSessionUserId() -> pg_sys::Oid;
    fn GetCurrentStatementStartTimestamp() -> pg_sys::TimestampTz;
}

/// The login's oid.
#[must_use]
pub fn session_user_id() -> u32 {
    // SAFETY: reads a variable of the backend.
    unsafe { GetSessionUserId() }.to_u32()
}

/// A setting's value; `None` where it is not set. (`request.jwt.claims` is `''` after its first use in a session.)
#[must_use]
pub fn setting(name: &CStr) -> Option<String> {
    // SAFETY: the pointer is the setting's own storage, copied at once.
    unsafe {
        let value = pg_sys::GetConfigOption(name.as_ptr(), true, false);
        if value.is_null() { None } else { CStr::from_ptr(value).to_str().ok().map(str::to_owned) }.filter(|text| !text.is_empty())
    }
}

/// Whether a setting has this value, the empty one for a setting that is not set. Copies nothing: policies ask this for each row.
#[must_use]
pub fn is_setting(name: &CStr, value: &str) -> bool {
    // SAFETY: the pointer is the setting's own storage, read at once.
    unsafe {
        let set = pg_sys::GetConfigOption(name.as_ptr(), true, false);
        if set.is_null() { value.is_empty() } else { CStr::from_ptr(set).to_bytes() == value.as_bytes() }
    }
}

/// This transaction's commit doesn't wait until it is on the disk, nor on a standby: for what is done again where a crash takes it back.
pub fn commit_without_waiting() {
    settings::until_the_end(c"synchronous_commit", c"off");
}

/// Tries to take a transaction-scoped advisory lock.
#[must_use]
pub fn try_advisory_lock(key: i64) -> bool {
    // SAFETY: a built-in function with one int8 argument.
    unsafe { pgrx::direct_function_call::<bool>(pg_sys::pg_try_advisory_xact_lock_int8, &[key.into_datum()]) }.unwrap_or(false)
}

/// Takes a transaction-scoped advisory lock named by a text; waits for whoever holds it.
pub fn advisory_lock(name: &str) {
    // SAFETY: a built-in function with one int8 argument.
    unsafe { pgrx::direct_function_call::<()>(pg_sys::pg_advisory_xact_lock_int8, &[advisory_key(name).into_datum()]) };
}

/// Keeps everybody from writing to a table until the transaction ends; reading goes on. Waits as long as `lock_timeout` says. LOCK TABLE would need the
/// right to change its rows, which nobody has where they are history.
pub fn lock_against_writes(table: &str) {
    let relation = text("select $1::regclass::oid::text", &[Arg::Text(table)]).and_then(|oid| oid.parse::<u32>().ok());
    let Some(relation) = relation else { pgrx::error!("a table has no oid") };
    // SAFETY: takes a lock that the transaction's end releases; that the relation exists was asked above.
    unsafe { pg_sys::LockRelationOid(pg_sys::Oid::from(relation), pg_sys::ShareLock.cast_signed()) };
}

/// The number of an advisory lock: 64 bits of the text's SHA-256.
#[must_use]
pub fn advisory_key(name: &str) -> i64 {
    Sha256::digest(name).first_chunk::<8>().map_or(0, |bytes| i64::from_be_bytes(*bytes))
}

/// Sleeps; a cancel or a terminate ends it.
pub fn sleep_milliseconds(milliseconds: i64) {
    // SAFETY: the backend's own latch.
    unsafe {
        let events = pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
        pg_sys::WaitLatch(pg_sys::MyLatch, events.cast_signed(), milliseconds, pg_sys::PG_WAIT_EXTENSION);
        pg_sys::ResetLatch(pg_sys::MyLatch);
    }
    pgrx::check_for_interrupts!();
}

/// So many random bytes from Postgres' strong source.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0_u8; N];
    // SAFETY: the buffer has N bytes.
    if !unsafe { pg_sys::pg_strong_random(bytes.as_mut_ptr().cast(), N) } {
        pgrx::error!("no randomness is available");
    }
    bytes
}

/// `clock_timestamp()`, in microseconds since the Unix epoch.
#[must_use]
pub fn now_microseconds() -> i64 {
    // SAFETY: reads the clock.
    unsafe { pg_sys::GetCurrentTimestamp() }.saturating_add(POSTGRES_EPOCH_MICROSECONDS)
}

/// `now()`, in microseconds since the Unix epoch.
#[must_use]
pub fn transaction_microseconds() -> i64 {
    // SAFETY: reads a variable of the backend.
    unsafe { pg_sys::GetCurrentTransactionStartTimestamp() }.saturating_add(POSTGRES_EPOCH_MICROSECONDS)
}

/// The second of the Unix epoch in which the statement that the client sent began. Cheap: policies ask this for each row.
#[must_use]
pub fn statement_second() -> i64 {
    const POSTGRES_EPOCH_SECONDS: i64 = 946_684_800;
    // SAFETY: reads a variable of the backend.
    unsafe { pg_sys::GetCurrentStatementStartTimestamp() }.div_euclid(1_000_000).saturating_add(POSTGRES_EPOCH_SECONDS)
}

/// Whether the transaction may write.
#[must_use]
pub fn may_write() -> bool {
    // SAFETY: reads variables of the backend.
    unsafe { !pg_sys::XactReadOnly && !pg_sys::RecoveryInProgress() }
}

/// When the statement began that the client sent, in microseconds since Postgres' epoch: tells statements apart.
#[must_use]
pub fn statement_start() -> i64 {
    // SAFETY: reads a variable of the backend.
    unsafe { GetCurrentStatementStartTimestamp() }
}

/// A relation of the schema `nebula`, by name; `None` where there is none.
#[must_use]
pub fn relation_in_nebula(name: &CStr) -> Option<u32> {
    // SAFETY: catalog look-ups by name, answered from the syscache; InvalidOid where missing.
    let relation = unsafe { pg_sys::get_relname_relid(name.as_ptr(), pg_sys::get_namespace_oid(c"nebula".as_ptr(), true)) };
    (relation != pg_sys::InvalidOid).then(|| relation.to_u32())
}

/// A number that changes whenever a function, a type, a schema or a role may have changed.
#[must_use]
pub fn catalog_generation() -> u64 {
    // SAFETY: as every statement's start does; cheap when nothing waits. Callbacks that it runs only reset memory.
    unsafe { pg_sys::AcceptInvalidationMessages() };
    CATALOG_GENERATION.get()
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn on_catalog_invalidation(_argument: pg_sys::Datum, _cache: core::ffi::c_int, _hash: u32) {
    // Only memory is touched: an error in a callback would abort the backend.
    CATALOG_GENERATION.set(CATALOG_GENERATION.get().wrapping_add(1));
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn on_relcache_invalidation(_argument: pg_sys::Datum, relation: pg_sys::Oid) {
    direct::heard_of(relation.to_u32());
    rights_change::heard_of(relation.to_u32());
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn on_transaction(event: pg_sys::XactEvent::Type, _argument: *mut core::ffi::c_void) {
    use pg_sys::XactEvent::{XACT_EVENT_ABORT, XACT_EVENT_COMMIT, XACT_EVENT_PREPARE};
    if memory::is_exhausted() {
        return;
    }
    match event {
        XACT_EVENT_COMMIT | XACT_EVENT_PREPARE => {
            super::usage::committed();
            super::wake::committed();
        }
        XACT_EVENT_ABORT => {
            super::usage::rolled_back(1);
            super::wake::rolled_back();
        }
        _ => return,
    }
    super::context::forget_all();
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn on_subtransaction(
    event: pg_sys::SubXactEvent::Type,
    _this: pg_sys::SubTransactionId,
    _parent: pg_sys::SubTransactionId,
    _argument: *mut core::ffi::c_void,
) {
    if memory::is_exhausted() {
        return;
    }
    match event {
        pg_sys::SubXactEvent::SUBXACT_EVENT_ABORT_SUB => {
            super::context::forget_from(transaction_nesting());
            super::usage::rolled_back(transaction_nesting());
        }
        pg_sys::SubXactEvent::SUBXACT_EVENT_COMMIT_SUB => super::usage::released(transaction_nesting()),
        _ => {}
    }
}

/// How deep in subtransactions this statement is (1: none).
#[must_use]
pub fn transaction_nesting() -> i32 {
    // SAFETY: reads a variable of the backend.
    unsafe { pg_sys::GetCurrentTransactionNestLevel() }
}

/// Registers the callbacks, once per backend, when the library is loaded.
pub fn register_callbacks() {
    // SAFETY: the functions live as long as the library, which Postgres never unloads. A backend has one thread, and this runs before anything in
    // the library could read the environment: where the server was started with RUST_BACKTRACE, pgrx would put a backtrace into every DETAIL.
    unsafe {
        std::env::remove_var("RUST_BACKTRACE");
        std::env::remove_var("RUST_LIB_BACKTRACE");
        pg_sys::RegisterXactCallback(Some(on_transaction), std::ptr::null_mut());
        pg_sys::RegisterSubXactCallback(Some(on_subtransaction), std::ptr::null_mut());
        pg_sys::CacheRegisterRelcacheCallback(Some(on_relcache_invalidation), pg_sys::Datum::null());
        use pg_sys::SysCacheIdentifier::{ATTNUM, AUTHMEMMEMROLE, AUTHOID, ENUMOID, NAMESPACEOID, PROCOID, TYPEOID};
        for cache in [PROCOID, TYPEOID, ATTNUM, ENUMOID, NAMESPACEOID, AUTHOID, AUTHMEMMEMROLE] {
            pg_sys::CacheRegisterSyscacheCallback(cache.cast_signed(), Some(on_catalog_invalidation), pg_sys::Datum::null());
        }
    }
}

/// Whether the caller has opened the transaction by itself, and so decides when it ends.
#[must_use]
pub fn is_in_block() -> bool {
    // SAFETY: reads a variable of the backend.
    unsafe { pg_sys::IsTransactionBlock() }
}

/// What tells this database apart from every copy of it: the cluster, the database, and the very file in the cluster's folder, which a copy has anew.
#[must_use]
pub fn place() -> String {
    use std::os::unix::fs::MetadataExt;
    // SAFETY: reads variables of the backend; `DataDir` is set for the life of the process.
    let (cluster, folder) = unsafe { (pg_sys::GetSystemIdentifier(), CStr::from_ptr(pg_sys::DataDir).to_string_lossy().into_owned()) };
    // Made by initdb or by whoever copies, and never written again.
    let file = std::fs::metadata(format!("{folder}/PG_VERSION"));
    let inode = file.as_ref().map_or(0, MetadataExt::ino);
    let made_at = file.and_then(|file| file.created()).ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    format!("{cluster}/{}/{inode}/{}", database_id(), made_at.map_or(0, |at| at.as_nanos()))
}

/// The database's oid: what tells databases of one cluster apart in shared memory.
#[must_use]
pub fn database_id() -> u32 {
    // SAFETY: reads a variable of the backend.
    unsafe { pg_sys::MyDatabaseId }.to_u32()
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn on_exit(_code: core::ffi::c_int, _argument: pg_sys::Datum) {
    if !memory::is_exhausted() {
        super::usage::flush_at_exit();
    }
}

/// Has what was gathered flushed when the backend ends in peace. (A crash runs no callbacks.)
pub fn flush_usage_at_exit() {
    // SAFETY: the callback lives as long as the library, which Postgres never unloads.
    unsafe { pg_sys::before_shmem_exit(Some(on_exit), pg_sys::Datum::null()) };
}

/// Runs `work` in a transaction of its own while the backend ends, as Postgres does to drop temporary tables. Not where nothing can be written.
pub fn in_last_transaction(work: impl FnOnce()) {
    // SAFETY: the sequence of `RemoveTempRelationsCallback`: whatever was open is aborted first. An error in between ends the process, which is ending anyway.
    unsafe {
        if pg_sys::RecoveryInProgress() {
            return;
        }
        pg_sys::AbortOutOfAnyTransaction();
        pg_sys::StartTransactionCommand();
        if !pg_sys::XactReadOnly {
            pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
            work();
            pg_sys::PopActiveSnapshot();
        }
        pg_sys::CommitTransactionCommand();
    }
}

/// Gives back to the system what `malloc` keeps of a statement that took much memory. Without glibc nothing is given back.
pub fn give_back_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: changes nothing that anybody holds.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Whether this is the leader of a parallel query, which can't read what is committed since: nothing that it reads is kept.
#[must_use]
pub fn is_parallel() -> bool {
    // SAFETY: reads a variable of the backend.
    unsafe { pg_sys::IsInParallelMode() }
}

/// Whether the transaction reads each statement anew.
#[must_use]
pub fn is_read_committed() -> bool {
    // SAFETY: reads a variable of the backend.
    unsafe { pg_sys::XactIsoLevel <= pg_sys::XACT_READ_COMMITTED.cast_signed() }
}

// ---- Audit: statements over a trigger's transition tables ----------------------------------------------------------------------

/// What an audit trigger needs to know of the table it fired for.
pub struct ChangedTable {
    pub relation: u32,
    pub schema: String,
    pub name: String,
    /// `None` where a column was dropped.
    columns: Vec<Option<String>>,
}

impl ChangedTable {
    /// Where a column stands, from 0.
    #[must_use]
    pub fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.as_deref() == Some(name))
    }

    /// The columns whose name is such, and where they stand.
    #[must_use]
    pub fn named(&self, is: impl Fn(&str) -> bool) -> Vec<(usize, &str)> {
        self.columns
            .iter()
            .enumerate()
            .filter_map(|(at, column)| column.as_deref().filter(|name| is(name)).map(|name| (at, name)))
            .collect()
    }
}

/// Name and columns of the trigger's table.
#[must_use]
pub fn changed_table(trigger: &PgTrigger) -> Option<ChangedTable> {
    let relation = trigger.relation().ok()?;
    let columns = relation.tuple_desc().iter().map(|column| (!column.is_dropped()).then(|| column.name().to_owned())).collect();
    Some(ChangedTable {
        relation: relation.oid().to_u32(),
        schema: relation.namespace().to_owned(),
        name: relation.name().to_owned(),
        columns,
    })
}

/// Runs a statement that may read `old_rows` and `new_rows` of the trigger that is firing.
pub fn run_over_transition_tables(trigger: &PgTrigger, sql: &str, args: &[Arg]) -> u64 {
    // SAFETY: as in `execute`; the trigger's data outlives the trigger function.
    unsafe {
        if pg_sys::SPI_connect() != pg_sys::SPI_OK_CONNECT as i32 {
            pgrx::error!("SPI is not available");
        }
        let data = std::ptr::from_ref(trigger.trigger_data()).cast_mut();
        if pg_sys::SPI_register_trigger_data(data) < 0 {
            pgrx::error!("the transition tables are not available");
        }
        let plan = plan(sql, args);
        let (mut values, nulls) = bind(args);
        let code = pg_sys::SPI_execute_plan(plan, values.as_mut_ptr(), nulls.as_ptr(), false, 0);
        if code < 0 {
            pgrx::error!("the audit failed with SPI code {code}");
        }
        let processed = pg_sys::SPI_processed;
        pg_sys::SPI_finish();
        processed
    }
}

/// An identifier, quoted where SQL needs it.
#[must_use]
pub fn quote_identifier(name: &str) -> String {
    let Ok(text) = CString::new(name) else { pgrx::error!("an identifier holds NUL") };
    // SAFETY: returns its argument or a palloc'd copy; copied at once.
    unsafe { CStr::from_ptr(pg_sys::quote_identifier(text.as_ptr())).to_string_lossy().into_owned() }
}

/// A value as a literal of SQL.
#[must_use]
pub fn quote_literal(value: &str) -> String {
    let Ok(text) = CString::new(value) else { pgrx::error!("a literal holds NUL") };
    // SAFETY: returns a palloc'd copy; copied at once.
    unsafe { CStr::from_ptr(pg_sys::quote_literal_cstr(text.as_ptr())).to_string_lossy().into_owned() }
}
