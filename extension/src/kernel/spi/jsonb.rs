//! Values of type `jsonb`, made and taken apart by the functions of Postgres.
//!
//! Texts are in the database's encoding and without the character NUL, as all that Postgres holds are.

use super::Made;
use pgrx::{FromDatum, IntoDatum, pg_sys};
use std::{marker::PhantomData, ptr};

/// What is put into an [`Object`].
pub(super) enum Value<'a> {
    Number(i64),
    Text(&'a [u8]),
    /// A `jsonb`.
    Json(pg_sys::Datum),
    /// Something inside of a `jsonb`.
    Part(pg_sys::JsonbValue),
}

/// An object in the making, by what Postgres' own functions make one with: `jsonb_build_object` and `||` look types up for each value, and take apart again what is made.
pub struct Object<'a> {
    state: *mut pg_sys::JsonbParseState,
    /// Names and texts are read when it is finished.
    texts: PhantomData<&'a [u8]>,
}

impl Default for Object<'_> {
    fn default() -> Self {
        let mut object = Self { state: ptr::null_mut(), texts: PhantomData };
        object.begin();
        object
    }
}

/// Of members of the same name the last one counts.
impl<'a> Object<'a> {
    /// An object begins: the whole one, or the value of the member that was named.
    pub fn begin(&mut self) {
        self.push(pg_sys::JsonbIteratorToken::WJB_BEGIN_OBJECT, None);
    }

    pub fn end(&mut self) {
        self.push(pg_sys::JsonbIteratorToken::WJB_END_OBJECT, None);
    }

    /// A member's name; its value, or an object, comes next.
    pub fn name(&mut self, name: &'a str) {
        self.push(pg_sys::JsonbIteratorToken::WJB_KEY, Some(string(name.as_bytes())));
    }

    /// A member that is a text.
    pub fn text(&mut self, name: &'a str, text: &'a str) {
        self.name(name);
        self.push(pg_sys::JsonbIteratorToken::WJB_VALUE, Some(string(text.as_bytes())));
    }

    /// A member that is an array of texts.
    pub fn texts(&mut self, name: &'a str, texts: impl IntoIterator<Item = &'a str>) {
        self.name(name);
        self.push(pg_sys::JsonbIteratorToken::WJB_BEGIN_ARRAY, None);
        for text in texts {
            self.push(pg_sys::JsonbIteratorToken::WJB_ELEM, Some(string(text.as_bytes())));
        }
        self.push(pg_sys::JsonbIteratorToken::WJB_END_ARRAY, None);
    }

    /// # Safety
    /// What is said to be a `jsonb` is one.
    pub(super) unsafe fn value(&mut self, value: &Value<'a>) {
        let value = match value {
            Value::Number(number) => {
                let mut value = pg_sys::JsonbValue { type_: pg_sys::jbvType::jbvNumeric, ..Default::default() };
                // SAFETY: makes a value in the current memory.
                value.val.numeric = unsafe { pg_sys::int64_to_numeric(*number) };
                value
            }
            Value::Text(bytes) => string(bytes),
            Value::Part(part) => *part,
            Value::Json(datum) => {
                let mut value = pg_sys::JsonbValue { type_: pg_sys::jbvType::jbvBinary, ..Default::default() };
                // SAFETY: as the caller promises. Whoever reads it asks the container for its length.
                value.val.binary = pg_sys::JsonbValue__bindgen_ty_1__bindgen_ty_4 { len: 0, data: unsafe { container(*datum) } };
                value
            }
        };
        self.push(pg_sys::JsonbIteratorToken::WJB_VALUE, Some(value));
    }

    /// The members of another object.
    ///
    /// # Safety
    /// It is a `jsonb`, and an object.
    pub(super) unsafe fn members_of(&mut self, object: pg_sys::Datum) {
        // SAFETY: as the caller promises; the iterator reads what stays until the object is finished.
        unsafe {
            let mut iterator = pg_sys::JsonbIteratorInit(container(object));
            let mut value = pg_sys::JsonbValue::default();
            pg_sys::JsonbIteratorNext(&raw mut iterator, &raw mut value, true);
            loop {
                let token = pg_sys::JsonbIteratorNext(&raw mut iterator, &raw mut value, true);
                if !matches!(token, pg_sys::JsonbIteratorToken::WJB_KEY | pg_sys::JsonbIteratorToken::WJB_VALUE) {
                    break;
                }
                self.push(token, Some(value));
            }
        }
    }

    /// The whole object, in the current memory.
    #[must_use]
    pub fn finish(mut self) -> Made {
        let whole = self.push(pg_sys::JsonbIteratorToken::WJB_END_OBJECT, None);
        // SAFETY: the outermost object was ended.
        Made { datum: Some(unsafe { pg_sys::JsonbValueToJsonb(whole) }.into()), oid: pg_sys::JSONBOID }
    }

    fn push(&mut self, token: pg_sys::JsonbIteratorToken::Type, value: Option<pg_sys::JsonbValue>) -> *mut pg_sys::JsonbValue {
        let mut value = value;
        let value = value.as_mut().map_or(ptr::null_mut(), ptr::from_mut);
        // SAFETY: the state is Postgres' own; the value is copied, and what it refers to lives as long as the object.
        unsafe { pg_sys::pushJsonbValue(&raw mut self.state, token, value) }
    }
}

fn string(bytes: &[u8]) -> pg_sys::JsonbValue {
    let mut value = pg_sys::JsonbValue { type_: pg_sys::jbvType::jbvString, ..Default::default() };
    // What is longer than Postgres' values can be does not get here.
    let len = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
    value.val.string = pg_sys::JsonbValue__bindgen_ty_1__bindgen_ty_1 { len, val: bytes.as_ptr().cast_mut().cast() };
    value
}

/// # Safety
/// The datum is a `jsonb`.
unsafe fn container(datum: pg_sys::Datum) -> *mut pg_sys::JsonbContainer {
    // SAFETY: as the caller promises.
    unsafe { &raw mut (*pg_sys::pg_detoast_datum(datum.cast_mut_ptr()).cast::<pg_sys::Jsonb>()).root }
}

/// Whether an object or array has nothing in it.
///
/// # Safety
/// The datum is a `jsonb`.
pub(super) unsafe fn is_empty(datum: pg_sys::Datum) -> bool {
    // SAFETY: as the caller promises.
    unsafe { (*container(datum)).header & pg_sys::JB_CMASK == 0 }
}

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

/// `{"version": 1, "data": data}` around a `jsonb`, for as long as the current memory.
#[must_use]
pub fn envelope(data: Made) -> Option<Made> {
    // SAFETY: the data is of type jsonb.
    Some(unsafe { around(&Value::Json(data.datum?)) })
}

/// # Safety
/// As [`Object::value`].
unsafe fn around(data: &Value) -> Made {
    let mut object = Object::default();
    // SAFETY: as the caller promises.
    unsafe {
        object.name("data");
        object.value(data);
        object.name("version");
        object.value(&Value::Number(1));
    }
    object.finish()
}

/// The elements of a `jsonb` array, for as long as the memory that it was opened in.
pub struct Array {
    container: *mut pg_sys::JsonbContainer,
    pub length: u32,
}

impl Array {
    /// `None` for what is no array.
    #[must_use]
    pub fn open(value: Made) -> Option<Self> {
        // SAFETY: the value is of that type.
        let (container, header) = unsafe {
            let container = container(value.datum?);
            (container, (*container).header)
        };
        let is_array = header & pg_sys::JB_FARRAY != 0 && header & pg_sys::JB_FSCALAR == 0;
        is_array.then_some(Self { container, length: header & pg_sys::JB_CMASK })
    }

    /// The [`envelope`] around an element, counted from 0, in the current memory.
    #[must_use]
    pub fn envelope(&self, at: u32) -> Option<Made> {
        // SAFETY: the container is an array's; an element lies within it.
        unsafe { Some(around(&Value::Part(*pg_sys::getIthJsonbValueFromContainer(self.container, at).as_ref()?))) }
    }
}

/// `value #>> path` of a `jsonb`.
#[must_use]
pub fn member_text(value: Made, path: &[&str]) -> Option<String> {
    // SAFETY: the value is of that type.
    let mut inner = unsafe { container(value.datum?) };
    for (at, name) in path.iter().enumerate() {
        // SAFETY: a container of the value's; it is asked for a member only if it is an object.
        unsafe {
            if (*inner).header & pg_sys::JB_FOBJECT == 0 {
                break;
            }
            let length = i32::try_from(name.len()).ok()?;
            let member = pg_sys::getKeyJsonValueFromContainer(inner, name.as_ptr().cast(), length, ptr::null_mut()).as_ref()?;
            match member.type_ {
                pg_sys::jbvType::jbvBinary => inner = member.val.binary.data,
                pg_sys::jbvType::jbvString if at + 1 == path.len() => {
                    let text = member.val.string;
                    let bytes = std::slice::from_raw_parts(text.val.cast::<u8>(), usize::try_from(text.len).ok()?);
                    return Some(String::from_utf8_lossy(bytes).into_owned());
                }
                _ => break,
            }
        }
    }
    // What is no text, or stands in an array, Postgres tells.
    let path = path.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    // SAFETY: a built-in function of these two types.
    unsafe { pgrx::direct_function_call(pg_sys::jsonb_extract_path_text, &[value.datum, path.into_datum()]) }
}

/// How many bytes a `jsonb` takes.
#[must_use]
pub fn size(value: Made) -> usize {
    // SAFETY: the value is of that type.
    value.datum.and_then(|datum| unsafe { <&[u8]>::from_polymorphic_datum(datum, false, pg_sys::BYTEAOID) }).map_or(0, <[u8]>::len)
}
