//! Supabase: what its Auth and PostgREST call, and how far PostgREST is believed.

use super::Table;
use crate::{
    kernel::{
        installation::{self, Trust},
        sql_caller,
    },
    platform::access_token_hook,
};
use nebula_core::error::Language;
use pgrx::{PgSqlErrorCode, ereport, name, pg_extern};

#[pg_extern(sql = false)]
fn access_token_claims(event: &str) -> Option<String> {
    access_token_hook::additions(event).map(|additions| additions.to_string())
}

#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn caller_refusal()
-> Table<(name!(status, i32), name!(message, Option<String>), name!(code, Option<String>), name!(details, Option<String>))> {
    let refusal = sql_caller::admit("pre_request").err();
    Table::of(refusal.into_iter().map(|refusal| {
        (
            i32::from(refusal.code.status()),
            Some(refusal.code.message(Language::Portuguese).to_owned()),
            Some(refusal.code.as_str().to_owned()),
            refusal.details.map(|details| details.to_string()),
        )
    }))
}

#[pg_extern(sql = false)]
fn set_postgrest_trust(trust: &str) -> bool {
    let Some(trust) = Trust::named(trust) else {
        ereport!(
            ERROR,
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            "trust is claims or token",
            "claims: what PostgREST says of the token that it has verified; token: the token itself, which the database verifies again"
        );
    };
    installation::set_postgrest_trust(trust)
}
