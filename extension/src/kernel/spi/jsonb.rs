//! Values of type `jsonb`, made and taken apart by the functions of Postgres.

use super::Made;
use pgrx::{FromDatum, IntoDatum, pg_sys};
use std::ptr;

/// `jsonb_build_object` of one name and a value of one type.
pub(super) struct Builder {
    name: pg_sys::Datum,
    call: pg_sys::FmgrInfo,
}

impl Builder {
    /// # Safety
    /// `kind` is the oid of a type.
    pub unsafe fn new(name: &str, kind: pg_sys::Oid) -> Option<Self> {
        // SAFETY: a function learns the types of its arguments from the expression that it is called by; here from one of nulls.
        unsafe {
            let mut arguments = ptr::null_mut();
            for kind in [pg_sys::TEXTOID, kind] {
                arguments = pg_sys::lappend(arguments, pg_sys::makeNullConst(kind, -1, pg_sys::InvalidOid).cast());
            }
            let function = pg_sys::Oid::from(pg_sys::F_JSONB_BUILD_OBJECT_ANY);
            let form = pg_sys::CoercionForm::COERCE_EXPLICIT_CALL;
            let call = pg_sys::makeFuncExpr(function, pg_sys::JSONBOID, arguments, pg_sys::InvalidOid, pg_sys::InvalidOid, form);
            let mut builder = Self { name: name.into_datum()?, call: pg_sys::FmgrInfo::default() };
            pg_sys::fmgr_info(function, &raw mut builder.call);
            builder.call.fn_expr = call.cast();
            Some(builder)
        }
    }

    /// # Safety
    /// The value is of the builder's type.
    pub unsafe fn call(&mut self, value: pg_sys::Datum) -> pg_sys::Datum {
        // SAFETY: as the caller promises.
        unsafe { pg_sys::FunctionCall2Coll(&raw mut self.call, pg_sys::InvalidOid, self.name, value) }
    }
}

/// # Safety
/// Both are `jsonb`.
pub(super) unsafe fn concat(one: pg_sys::Datum, another: pg_sys::Datum) -> Option<pg_sys::Datum> {
    // SAFETY: as the caller promises.
    unsafe { pgrx::direct_function_call_as_datum(pg_sys::jsonb_concat, &[Some(one), Some(another)]) }
}

/// `{"version": 1, "data": data}`, for any number of values.
pub struct Envelope {
    version: pg_sys::Datum,
    data: Builder,
}

impl Envelope {
    /// For as long as the current memory.
    #[must_use]
    pub fn new() -> Option<Self> {
        // SAFETY: the type exists.
        let data = unsafe { Builder::new("data", pg_sys::JSONBOID) }?;
        Some(Self { version: super::Arg::Json("{\"version\":1}").make().datum?, data })
    }

    /// Puts a `jsonb` into it.
    #[must_use]
    pub fn around(&mut self, data: Made) -> Option<Made> {
        // SAFETY: all are of type jsonb.
        let datum = unsafe { concat(self.version, self.data.call(data.datum?)) };
        Some(Made { datum, oid: pg_sys::JSONBOID })
    }
}

/// `value #>> path` of a `jsonb`.
#[must_use]
pub fn member_text(value: Made, path: &[&str]) -> Option<String> {
    let path = path.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    // SAFETY: a built-in function of these two types.
    unsafe { pgrx::direct_function_call(pg_sys::jsonb_extract_path_text, &[value.datum, path.into_datum()]) }
}

/// How many elements a `jsonb` array has; `None` for what is none.
#[must_use]
pub fn array_length(value: Made) -> Option<i32> {
    // SAFETY: built-in functions of these types.
    unsafe {
        let kind: Option<String> = pgrx::direct_function_call(pg_sys::jsonb_typeof, &[value.datum]);
        if kind.as_deref() == Some("array") { pgrx::direct_function_call(pg_sys::jsonb_array_length, &[value.datum]) } else { None }
    }
}

/// An element of a `jsonb` array, from 0.
#[must_use]
pub fn array_element(value: Made, at: i32) -> Option<Made> {
    // SAFETY: a built-in function of these types.
    let datum = unsafe { pgrx::direct_function_call_as_datum(pg_sys::jsonb_array_element, &[value.datum, at.into_datum()]) };
    datum.map(|datum| Made { datum: Some(datum), oid: pg_sys::JSONBOID })
}

/// How many bytes a `jsonb` takes.
#[must_use]
pub fn size(value: Made) -> usize {
    // SAFETY: the value is of that type.
    value.datum.and_then(|datum| unsafe { <&[u8]>::from_polymorphic_datum(datum, false, pg_sys::BYTEAOID) }).map_or(0, <[u8]>::len)
}
