//! The tenant floor: what Postgres asks the library for whenever it puts a table's policies into a query. Whatever policies a protected table has lost or gained,
//! its rows are the caller's tenant's.
//!
//! The condition is the same expression as that of the policy `nebula_tenant`; Postgres drops one of two equal ones, so that it costs nothing where that is there.

use super::super::protected_table::{self, ProtectedTable};
use pgrx::{pg_guard, pg_sys};
use std::{
    cell::Cell,
    ffi::CString,
    ptr,
    sync::atomic::{AtomicPtr, Ordering},
};

/// Who was there before.
static PREVIOUS: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// `uuid_eq` as an operator: `pg_operator.dat`.
const UUID_EQUALS: u32 = 2972;

thread_local! {
    static IS_READING: Cell<bool> = const { Cell::new(false) };
}

/// Sets the hook, once, when the library is loaded.
pub fn install() {
    // SAFETY: the library is loaded once and never unloaded; a process has one thread.
    unsafe {
        if let Some(previous) = pg_sys::row_security_policy_hook_restrictive {
            PREVIOUS.store(previous as *mut (), Ordering::Relaxed);
        }
        pg_sys::row_security_policy_hook_restrictive = Some(restrictive_policies);
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn restrictive_policies(command: pg_sys::CmdType::Type, relation: pg_sys::Relation) -> *mut pg_sys::List {
    // SAFETY: Postgres calls this with an open relation; what was stored is what it had in the hook before. Everything is allocated in its current memory.
    unsafe {
        let previous = PREVIOUS.load(Ordering::Relaxed);
        let mut policies = if previous.is_null() {
            ptr::null_mut()
        } else {
            let previous: unsafe extern "C-unwind" fn(pg_sys::CmdType::Type, pg_sys::Relation) -> *mut pg_sys::List =
                std::mem::transmute(previous);
            previous(command, relation)
        };
        if let Some(condition) = condition(relation) {
            policies = pg_sys::lappend(policies, policy(condition).cast());
        }
        policies
    }
}

/// The condition for a relation; `None` where it is not protected.
unsafe fn condition(relation: pg_sys::Relation) -> Option<*mut pg_sys::Expr> {
    // SAFETY: the relation is open.
    let oid = unsafe { (*relation).rd_id }.to_u32();
    // What is read to answer names tables of the product and the catalog alone: none of them is protected this way.
    if IS_READING.replace(true) {
        return None;
    }
    let reading = Reading;
    let table = protected_table::of(oid)?;
    // A column may have been renamed, or dropped and added again.
    let attribute = attribute(oid, &table).or_else(|| attribute(oid, &*protected_table::reread(oid)?));
    drop(reading);
    // SAFETY: builds an expression of nodes in the current memory.
    unsafe {
        Some(match (attribute, table.current_tenant) {
            (Some(attribute), Some(current_tenant)) => {
                let column = pg_sys::makeVar(1, attribute, pg_sys::UUIDOID, -1, pg_sys::InvalidOid, 0);
                let tenant = pg_sys::makeFuncExpr(
                    pg_sys::Oid::from(current_tenant),
                    pg_sys::UUIDOID,
                    ptr::null_mut(),
                    pg_sys::InvalidOid,
                    pg_sys::InvalidOid,
                    pg_sys::CoercionForm::COERCE_EXPLICIT_CALL,
                );
                pg_sys::make_opclause(
                    pg_sys::Oid::from(UUID_EQUALS),
                    pg_sys::BOOLOID,
                    false,
                    column.cast(),
                    tenant.cast(),
                    pg_sys::InvalidOid,
                    pg_sys::InvalidOid,
                )
            }
            // It is protected, and nobody can say by which column: nobody's rows.
            _ => pg_sys::makeBoolConst(false, false).cast(),
        })
    }
}

struct Reading;

impl Drop for Reading {
    fn drop(&mut self) {
        IS_READING.set(false);
    }
}

/// The number of the tenant's column, if the relation still has it as it was read.
fn attribute(relation: u32, table: &ProtectedTable) -> Option<pg_sys::AttrNumber> {
    let number = table.tenant_attribute?;
    let name = CString::new(table.tenant_column.as_deref()?).ok()?;
    let relation = pg_sys::Oid::from(relation);
    // SAFETY: look-ups in the syscache; what isn't there is 0.
    let is_it =
        unsafe { pg_sys::get_attnum(relation, name.as_ptr()) == number && pg_sys::get_atttype(relation, number) == pg_sys::UUIDOID };
    is_it.then_some(number)
}

/// A restrictive policy for everybody and every command; its condition binds new rows too.
unsafe fn policy(condition: *mut pg_sys::Expr) -> *mut pg_sys::RowSecurityPolicy {
    // SAFETY: zeroed memory of the right size; InvalidOid among the roles is PUBLIC (ACL_ID_PUBLIC).
    unsafe {
        let policy = pg_sys::palloc0(size_of::<pg_sys::RowSecurityPolicy>()).cast::<pg_sys::RowSecurityPolicy>();
        let mut everybody = pg_sys::Datum::from(pg_sys::InvalidOid);
        (*policy).policy_name = pg_sys::pstrdup(c"nebula_tenant_floor".as_ptr());
        (*policy).polcmd = b'*'.cast_signed();
        (*policy).roles = pg_sys::construct_array(&raw mut everybody, 1, pg_sys::OIDOID, 4, true, b'i'.cast_signed());
        (*policy).permissive = false;
        (*policy).qual = condition;
        policy
    }
}
