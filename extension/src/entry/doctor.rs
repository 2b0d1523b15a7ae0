//! What is wrong with a database. SQL shapes are in `sql/functions/doctor.sql`.
#![allow(unsafe_code)]

use crate::platform::doctor;
use pgrx::pg_extern;

#[pg_extern(sql = false)]
fn doctor_rules() -> String {
    doctor::rules().to_string()
}
