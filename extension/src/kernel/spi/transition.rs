//! The rows that a trigger fired for, read where Postgres gathered them.

use super::jsonb::{Builder, Object, Value};
use pgrx::{FromDatum, PgTrigger, PgTupleDesc, pg_sys};
use std::ffi::CStr;
use uuid::Uuid;

/// A transition table, one row after the other, in the order in which the rows were changed: of an update, old and new rows pair by it.
pub struct Rows {
    store: *mut pg_sys::Tuplestorestate,
    pointer: i32,
    slot: *mut pg_sys::TupleTableSlot,
}

/// The rows as they were; `None` for an insert.
#[must_use]
pub fn old_rows(trigger: &PgTrigger) -> Option<Rows> {
    rows(trigger, trigger.trigger_data().tg_oldtable)
}

/// The rows as they are; `None` for a delete.
#[must_use]
pub fn new_rows(trigger: &PgTrigger) -> Option<Rows> {
    rows(trigger, trigger.trigger_data().tg_newtable)
}

fn rows(trigger: &PgTrigger, store: *mut pg_sys::Tuplestorestate) -> Option<Rows> {
    if store.is_null() {
        return None;
    }
    // SAFETY: the trigger's data, its tables and its relation outlive the trigger function; reading as a scan of the table in a statement does.
    unsafe {
        let pointer = pg_sys::tuplestore_alloc_read_pointer(store, pg_sys::EXEC_FLAG_REWIND.cast_signed());
        pg_sys::tuplestore_select_read_pointer(store, pointer);
        pg_sys::tuplestore_rescan(store);
        let descriptor = (*trigger.trigger_data().tg_relation).rd_att;
        Some(Rows { store, pointer, slot: pg_sys::MakeSingleTupleTableSlot(descriptor, &raw const pg_sys::TTSOpsMinimalTuple) })
    }
}

impl Rows {
    /// Goes to the next row; false after the last.
    pub fn advance(&mut self) -> bool {
        pgrx::check_for_interrupts!();
        // SAFETY: the store outlives the rows; another reader may have selected its own place.
        unsafe {
            pg_sys::tuplestore_select_read_pointer(self.store, self.pointer);
            let is_there = pg_sys::tuplestore_gettupleslot(self.store, true, false, self.slot);
            if is_there {
                pg_sys::slot_getallattrs(self.slot);
            }
            is_there
        }
    }

    fn datum(&self, at: usize) -> Option<pg_sys::Datum> {
        // SAFETY: the row was deformed; whoever asks took the place from the relation's descriptor.
        unsafe { (!*(*self.slot).tts_isnull.add(at)).then(|| *(*self.slot).tts_values.add(at)) }
    }

    /// The value of a column of type `uuid` (places begin with 0).
    #[must_use]
    pub fn uuid(&self, at: usize) -> Option<Uuid> {
        let datum = self.datum(at)?;
        // SAFETY: the caller names a column of that type.
        unsafe { pgrx::Uuid::from_datum(datum, false) }.map(|id| Uuid::from_bytes(*id.as_bytes()))
    }

    /// Whether a column's value is another than in the other row, as bytes: an operator of somebody's own type would run with the product's rights.
    #[must_use]
    pub fn differs(&self, other: &Self, at: usize) -> bool {
        match (self.datum(at), other.datum(at)) {
            (None, None) => false,
            (Some(one), Some(another)) => {
                // SAFETY: both are of the column's type.
                unsafe {
                    let descriptor = PgTupleDesc::from_pg_unchecked((*self.slot).tts_tupleDescriptor);
                    let Some(column) = descriptor.get(at) else { return true };
                    let (is_by_value, length) = (column.attbyval, i32::from(column.attlen));
                    !pg_sys::ffi::pg_guard_ffi_boundary(|| datum_image_eq(one, another, is_by_value, length))
                }
            }
            _ => true,
        }
    }

    /// Ends the reading.
    pub fn close(self) {
        // SAFETY: nobody else has the slot.
        unsafe { pg_sys::ExecDropSingleTupleTableSlot(self.slot) };
    }
}

unsafe extern "C-unwind" {
    /// `utils/datum.h`. It raises where a value that lies outside of its row can't be fetched.
    fn datum_image_eq(one: pg_sys::Datum, another: pg_sys::Datum, is_by_value: bool, length: i32) -> bool;
}

/// Columns of a row as a JSON object, by the rules of `jsonb_build_object`.
pub struct JsonColumns {
    members: Vec<Member>,
}

struct Member {
    at: usize,
    name: String,
    form: Form,
}

/// How a value is told.
enum Form {
    Integer(pg_sys::Oid),
    Text,
    /// As the text that its type's output function makes.
    Output(pg_sys::Oid),
    /// As `jsonb_build_object` tells it.
    Built(Builder),
}

impl JsonColumns {
    /// Of the columns at these places; `true`: of a type of Postgres' own with a form in JSON. Lasts as long as the current memory.
    #[must_use]
    pub fn new(trigger: &PgTrigger, columns: &[(usize, bool)]) -> Option<Self> {
        // SAFETY: the trigger's relation is open; the rest are look-ups of types that exist.
        unsafe {
            let descriptor = PgTupleDesc::from_pg_unchecked((*trigger.trigger_data().tg_relation).rd_att);
            let members = columns.iter().map(|(at, is_plain)| {
                let column = descriptor.get(*at)?;
                let form = match column.atttypid {
                    kind @ (pg_sys::INT2OID | pg_sys::INT4OID | pg_sys::INT8OID) => Form::Integer(kind),
                    pg_sys::TEXTOID | pg_sys::VARCHAROID => Form::Text,
                    kind if *is_plain && kind != pg_sys::UUIDOID => Form::Built(Builder::new(column.name(), kind)?),
                    kind => {
                        let (mut output, mut is_variable) = (pg_sys::InvalidOid, false);
                        pg_sys::getTypeOutputInfo(kind, &raw mut output, &raw mut is_variable);
                        Form::Output(output)
                    }
                };
                Some(Member { at: *at, name: column.name().to_owned(), form })
            });
            Some(Self { members: members.collect::<Option<_>>()? })
        }
    }

    /// The columns of a row as an object, a member of one that has begun; no member where one of them is null.
    pub fn put<'a>(&'a mut self, object: &mut Object<'a>, name: &'a str, row: &Rows) {
        if self.members.iter().any(|member| row.datum(member.at).is_none()) {
            return;
        }
        object.name(name);
        object.begin();
        for Member { at, name, form } in &mut self.members {
            // SAFETY: values are of the types that the forms were found for, and not null.
            if let Some(value) = row.datum(*at).and_then(|value| unsafe { form.tell(object, value) }) {
                object.name(name);
                // SAFETY: it holds no `jsonb`.
                unsafe { object.value(&value) };
            }
        }
        object.end();
    }
}

impl Form {
    /// The value as one of JSON; `None` where it has been put into the object, name and all.
    ///
    /// # Safety
    /// It is of the type that the form was found for.
    unsafe fn tell<'a>(&mut self, object: &mut Object<'a>, value: pg_sys::Datum) -> Option<Value<'a>> {
        // SAFETY: as the caller promises; functions of built-in types get what they take.
        unsafe {
            Some(match self {
                Form::Integer(pg_sys::INT2OID) => Value::Number(i16::from_datum(value, false)?.into()),
                Form::Integer(pg_sys::INT4OID) => Value::Number(i32::from_datum(value, false)?.into()),
                Form::Integer(_) => Value::Number(i64::from_datum(value, false)?),
                Form::Text => Value::Text(<&[u8]>::from_polymorphic_datum(value, false, pg_sys::BYTEAOID)?),
                Form::Output(output) => Value::Text(CStr::from_ptr(pg_sys::OidOutputFunctionCall(*output, value)).to_bytes()),
                Form::Built(builder) => {
                    object.members_of(builder.call(value));
                    return None;
                }
            })
        }
    }
}
