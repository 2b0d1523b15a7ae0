//! What becomes of a backend that gets no more memory: it ends, alone.
//!
//! Rust aborts the process where an allocation fails, and Postgres then restarts all others, since one that died so may have left shared memory half written
//! (pitfalls). Unwinding from an allocator isn't allowed. So the session ends as Postgres ends one: FATAL, locks given back, the transaction aborted.

use pgrx::pg_sys;
use std::{
    alloc::{GlobalAlloc, Layout, System},
    ffi::{CStr, c_char, c_int},
    sync::atomic::{AtomicBool, Ordering},
};

struct OrEnd;

#[global_allocator]
static ALLOCATOR: OrEnd = OrEnd;

static IS_EXHAUSTED: AtomicBool = AtomicBool::new(false);

/// Whether this process is ending for want of memory. Callbacks do nothing then: what they would look at may be half written.
#[must_use]
pub fn is_exhausted() -> bool {
    IS_EXHAUSTED.load(Ordering::Relaxed)
}

// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for OrEnd {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        or_end(unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        or_end(unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: as the caller promises.
        or_end(unsafe { System.realloc(pointer, layout, new_size) })
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[inline]
fn or_end(memory: *mut u8) -> *mut u8 {
    if memory.is_null() {
        end();
    }
    memory
}

unsafe extern "C-unwind" {
    // `utils/elog.h`: pgrx's own forms of these allocate.
    fn errstart(level: c_int, domain: *const c_char) -> bool;
    fn errcode(state: c_int) -> c_int;
    fn errmsg(format: *const c_char, ...) -> c_int;
    fn errfinish(file: *const c_char, line: c_int, function: *const c_char);
}

const FILE: &CStr = c"memory.rs";

#[cold]
fn end() {
    if IS_EXHAUSTED.swap(true, Ordering::Relaxed) {
        // The way out needs memory, too: then Rust aborts, as it would have.
        return;
    }
    // SAFETY: FATAL never returns, and unwinds nothing. Postgres keeps memory for this message.
    unsafe {
        if errstart(pg_sys::FATAL.cast_signed(), std::ptr::null()) {
            errcode(pg_sys::errcodes::PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY as c_int);
            errmsg(c"out of memory in nebula: the session ends".as_ptr());
            errfinish(FILE.as_ptr(), 0, c"end".as_ptr());
        }
    }
}
