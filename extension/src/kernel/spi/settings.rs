//! Settings that hold while a function runs.
//!
//! Not as a part of the function's declaration: where a session has them already, as the logins of the edge and the worker do, they cost nothing.

use pgrx::pg_sys;
use std::ffi::CStr;

/// Runs `work`, whose statements each look for a few rows by keys: planned without scans and sorts, since kept plans are made when tables are small; not compiled,
/// which costs more than running them; and bound by row security.
pub fn looking_up<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: reads variables of the backend.
    let is = unsafe { [pg_sys::row_security, !pg_sys::jit_enabled, !pg_sys::enable_seqscan, !pg_sys::enable_sort] };
    if is == [true; 4] {
        return work();
    }
    with(&[(c"row_security", c"on"), (c"jit", c"off"), (c"enable_seqscan", c"off"), (c"enable_sort", c"off")], work)
}

/// Runs `work`, whose statements read whole tables, wherever it is called from: what is made for look-ups would plan them by chance.
pub fn reading_all<T>(work: impl FnOnce() -> T) -> T {
    with(&[(c"jit", c"off"), (c"enable_seqscan", c"on"), (c"enable_sort", c"on")], work)
}

/// With settings that end with `work`.
fn with<T>(settings: &[(&CStr, &CStr)], work: impl FnOnce() -> T) -> T {
    // SAFETY: as a function's own settings: on an error the (sub)transaction's end takes them back.
    unsafe {
        let level = pg_sys::NewGUCNestLevel();
        for (name, value) in settings {
            set(name, value);
        }
        let result = work();
        pg_sys::AtEOXact_GUC(true, level);
        result
    }
}

/// A setting that holds until the transaction ends, as by `set local`.
pub(super) fn until_the_end(name: &CStr, value: &CStr) {
    // SAFETY: the transaction's end takes it back.
    unsafe { set_by(pg_sys::GucAction::GUC_ACTION_LOCAL, name, value) };
}

/// # Safety
/// Within a nest level that is ended.
pub(super) unsafe fn set(name: &CStr, value: &CStr) {
    // SAFETY: as the caller promises.
    unsafe { set_by(pg_sys::GucAction::GUC_ACTION_SAVE, name, value) };
}

/// # Safety
/// Something takes the setting back.
unsafe fn set_by(action: pg_sys::GucAction::Type, name: &CStr, value: &CStr) {
    // SAFETY: both are C strings.
    unsafe {
        pg_sys::set_config_option(
            name.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_USERSET,
            pg_sys::GucSource::PGC_S_SESSION,
            action,
            true,
            0,
            false,
        );
    }
}
