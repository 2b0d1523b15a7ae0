//! People.

use nebula_tests::{Caller, Database, http::id, onboard};
use serde_json::json;
use std::thread;
use uuid::Uuid;

#[test]
fn a_person_is_created_shown_listed_and_changed() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let made = acme.admin.post("/v1/users", &json!({ "email": " Bia.Lima@ACME.Example ", "name": "  Bia Lima  " })).data(201);
    assert_eq!((&made["email"], &made["name"], &made["status"]), (&json!("Bia.Lima@acme.example"), &json!("Bia Lima"), &json!("ativo")));
    let path = format!("/v1/users/{}", id(&made));
    assert_eq!(acme.admin.get(&path).data(200), made);
    let changed = acme.admin.patch(&path, &json!({ "name": "Beatriz" })).data(200);
    assert_eq!((&changed["name"], &changed["email"]), (&json!("Beatriz"), &made["email"]));
    assert_ne!(changed["updatedAt"], made["updatedAt"]);
    acme.admin.patch(&path, &json!({})).invalid("", "nothing_to_change");
    let listed = acme.admin.get("/v1/users?sort=name:desc").data(200);
    assert_eq!(listed[0], changed);
    acme.admin.get(&format!("/v1/users/{}", Uuid::now_v7())).refused(404, "NOT_FOUND");
}

#[test]
fn an_address_belongs_to_one_person_however_it_is_written_and_other_tenants_have_their_own() {
    let database = Database::new();
    let edge = database.serve();
    let (acme, zeta) = (onboard(&edge, "acme"), onboard(&edge, "zeta"));
    let bia = acme.person("bia");
    let create = |email: &str| acme.admin.post("/v1/users", &json!({ "email": email, "name": "X" }));
    for email in ["bia@acme.example", "BIA@ACME.EXAMPLE", "Bia@Acme.Example"] {
        assert_eq!(create(email).refused(409, "DUPLICATE_RESOURCE"), json!({ "field": "email" }), "{email}");
    }
    zeta.admin.post("/v1/users", &json!({ "email": "bia@acme.example", "name": "Outra" })).data(201);
    let caio = acme.person("caio");
    let details =
        acme.admin.patch(&format!("/v1/users/{caio}"), &json!({ "email": "BIA@acme.example" })).refused(409, "DUPLICATE_RESOURCE");
    assert_eq!(details, json!({ "field": "email" }));
    acme.admin.patch(&format!("/v1/users/{bia}"), &json!({ "email": "BIA@acme.example" })).data(200);
}

#[test]
fn a_person_is_suspended_with_a_reason_and_let_in_again() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let path = format!("/v1/users/{}/status", acme.person("bia"));
    let suspended = acme.admin.patch(&path, &json!({ "status": "suspenso", "suspendedReason": "férias" })).data(200);
    assert_eq!((&suspended["status"], &suspended["suspendedReason"]), (&json!("suspenso"), &json!("férias")));
    acme.admin.patch(&path, &json!({ "status": "ativo", "suspendedReason": "x" })).invalid("suspendedReason", "only_when_suspending");
    let active = acme.admin.patch(&path, &json!({ "status": "ativo" })).data(200);
    assert_eq!((&active["status"], &active["suspendedReason"]), (&json!("ativo"), &json!(null)));
    acme.admin.patch(&path, &json!({ "status": "deleted" })).invalid("status", "enum");
    acme.admin.patch(&path, &json!({})).invalid("status", "required");
    let events = database.number("select count(*) from nebula.outbox where type = 'user.status.changed'", &[]);
    assert_eq!(events, 2);
}

#[test]
fn the_last_administrator_is_not_suspended() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let suspend = |user: Uuid| acme.admin.patch(&format!("/v1/users/{user}/status"), &json!({ "status": "suspenso" }));
    assert_eq!(suspend(acme.admin_id).refused(409, "CONFLICT"), json!({ "rule": "last_admin" }));
    let group = acme.group_named("ADM_CLIENTE");
    let second = acme.person("bia");
    acme.admin.post(&format!("/v1/groups/{group}/users/{second}"), &json!({})).data(201);
    // A second one who is suspended is none.
    suspend(second).data(200);
    suspend(acme.admin_id).refused(409, "CONFLICT");
    acme.admin.patch(&format!("/v1/users/{second}/status"), &json!({ "status": "ativo" })).data(200);
    suspend(acme.admin_id).data(200);
}

#[test]
fn of_16_who_want_one_address_at_once_one_gets_it_and_nobody_fails() {
    let database = Database::new();
    let edge = database.serve_with(&[("NEBULA_POOL_WAIT_MS", "20000")]);
    let acme = onboard(&edge, "acme");
    let people = (0..8).map(|number| acme.person(&format!("p{number}"))).collect::<Vec<_>>();
    for round in 0..4 {
        // However it is written.
        let address =
            |number: usize| if number.is_multiple_of(2) { format!("one{round}@acme.example") } else { format!("ONE{round}@Acme.example") };
        let answers = thread::scope(|scope| {
            let attempts = (0..16).map(|number| {
                let (admin, email, person) = (&acme.admin, address(number / 2), people[number / 2]);
                scope.spawn(move || match number % 2 {
                    0 => admin.patch(&format!("/v1/users/{person}"), &json!({ "email": email })),
                    _ => admin.post("/v1/users", &json!({ "email": email, "name": "X" })),
                })
            });
            attempts.collect::<Vec<_>>().into_iter().map(|attempt| attempt.join().unwrap()).collect::<Vec<_>>()
        });
        let (won, lost) = answers.into_iter().partition::<Vec<_>, _>(|answer| [200, 201].contains(&answer.status));
        assert_eq!(won.len(), 1, "round {round}");
        for answer in lost {
            assert_eq!(answer.refused(409, "DUPLICATE_RESOURCE"), json!({ "field": "email" }), "round {round}");
        }
        let email = format!("one{round}@acme.example");
        assert_eq!(database.number("select count(*) from nebula.user where lower(email) = $1", &[&email]), 1);
    }
}
