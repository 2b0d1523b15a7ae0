//! What a function hands over that returns a table.

use pgrx::{
    IntoDatum, PgSqlErrorCode,
    callconv::{BoxRet, FcInfo},
    datum::Datum,
    ereport, pg_sys,
    pgrx_sql_entity_graph::metadata::{ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin},
};

/// All rows at once. pgrx's `TableIterator` hands over one a call, and once more that there are no others; for each call Postgres sets the function's settings, and takes them back.
pub struct Table<Row>(Vec<Row>);

impl<Row> Table<Row> {
    pub fn of(rows: impl IntoIterator<Item = Row>) -> Self {
        Self(rows.into_iter().collect())
    }

    pub fn one(row: Row) -> Self {
        Self(vec![row])
    }
}

/// A row by its columns.
pub trait Columns {
    /// Calls `put` with the values, and with which of them are null.
    fn with(self, put: impl FnOnce(&mut [pg_sys::Datum], &mut [bool]));
}

macro_rules! columns {
    ($(($($column:ident),+)),+) => {$(
        #[allow(non_snake_case)]
        impl<$($column: IntoDatum),+> Columns for ($($column,)+) {
            fn with(self, put: impl FnOnce(&mut [pg_sys::Datum], &mut [bool])) {
                let ($($column,)+) = self;
                let values = [$($column.into_datum()),+];
                let mut nulls = values.map(|value| value.is_none());
                put(&mut values.map(|value| value.unwrap_or(pg_sys::Datum::from(0))), &mut nulls);
            }
        }
    )+};
}

columns!((A), (A, B), (A, B, C), (A, B, C, D), (A, B, C, D, E), (A, B, C, D, E, F, G), (A, B, C, D, E, F, G, H, I, J));

// SAFETY: a set is returned as `InitMaterializedSRF` says: the rows in a store of its own, and null as the call's own result.
unsafe impl<Row: Columns> BoxRet for Table<Row> {
    unsafe fn box_into<'fcx>(self, fcinfo: &mut FcInfo<'fcx>) -> Datum<'fcx> {
        // SAFETY: Postgres calls a function that returns a set with a place for it; whoever asks for columns knows what they are.
        unsafe {
            let call = fcinfo.as_mut_ptr();
            let info = (*call).resultinfo.cast::<pg_sys::ReturnSetInfo>();
            let is_known = !info.is_null() && !(*info).expectedDesc.is_null();
            pg_sys::InitMaterializedSRF(call, if is_known { pg_sys::MAT_SRF_USE_EXPECTED_DESC } else { 0 });
            let (store, descriptor) = ((*info).setResult, (*info).setDesc);
            for row in self.0 {
                row.with(|values, nulls| {
                    if usize::try_from((*descriptor).natts) != Ok(values.len()) {
                        ereport!(
                            ERROR,
                            PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
                            "the function was declared by another version of the extension"
                        );
                    }
                    pg_sys::tuplestore_putvalues(store, descriptor, values.as_mut_ptr(), nulls.as_mut_ptr());
                });
            }
        }
        fcinfo.return_null()
    }
}

// SAFETY: nothing is generated from it: the SQL is written by hand (docs/decisions/0002-sql-by-hand.md).
unsafe impl<Row> SqlTranslatable for Table<Row> {
    const TYPE_IDENT: &'static str = "nebula::Table";
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Err(ArgumentError::Table);
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> = Ok(ReturnsRef::SetOf(SqlMappingRef::literal("record")));
}
