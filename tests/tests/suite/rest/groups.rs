//! Groups, members, and the last administrator.

use nebula_tests::{Caller, Database, http::id, onboard};
use serde_json::{Value, json};
use std::thread;
use uuid::Uuid;

#[test]
fn a_group_is_created_shown_listed_and_changed() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let made = acme.admin.post("/v1/groups", &json!({ "name": "Suporte", "description": "Quem\natende" })).data(201);
    let path = format!("/v1/groups/{}", id(&made));
    assert_eq!(acme.admin.get(&path).data(200), made);
    assert_eq!(
        acme.admin.post("/v1/groups", &json!({ "name": " Suporte " })).refused(409, "DUPLICATE_RESOURCE"),
        json!({ "field": "name" })
    );
    let changed = acme.admin.patch(&path, &json!({ "name": "Atendimento" })).data(200);
    assert_eq!((&changed["name"], &changed["description"]), (&json!("Atendimento"), &json!("Quem\natende")));
    acme.admin.patch(&path, &json!({ "name": "VIEWER" })).refused(409, "DUPLICATE_RESOURCE");
    acme.admin.patch(&path, &json!({})).invalid("", "nothing_to_change");
    let names = acme.admin.get("/v1/groups?sort=name:asc").data(200);
    let names = names.as_array().unwrap().iter().map(|group| group["name"].as_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(names, ["ADM_CLIENTE", "Atendimento", "OPERATOR", "VIEWER"]);
}

#[test]
fn default_groups_keep_their_names_and_the_administrators_their_power() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    for name in ["ADM_CLIENTE", "OPERATOR", "VIEWER"] {
        let path = format!("/v1/groups/{}", acme.group_named(name));
        assert_eq!(acme.admin.patch(&path, &json!({ "name": "Outro" })).refused(409, "CONFLICT"), json!({ "rule": "default_group" }));
        acme.admin.patch(&path, &json!({ "description": "nova" })).data(200);
    }
    let admins = acme.group_named("ADM_CLIENTE");
    let rule = json!({ "rule": "last_admin" });
    assert_eq!(acme.admin.patch(&format!("/v1/groups/{admins}/status"), &json!({ "status": "suspenso" })).refused(409, "CONFLICT"), rule);
    let permission = id(&acme.admin.get(&format!("/v1/groups/{admins}/permissions")).data(200)[0]);
    assert_eq!(acme.admin.delete(&format!("/v1/groups/{admins}/permissions/{permission}")).refused(409, "CONFLICT"), rule);
    let narrowed = json!({ "permissions": [{ "action": "users.list", "constraints": { "maxPerDay": 1 } }] });
    assert_eq!(
        acme.admin.post(&format!("/v1/groups/{admins}/permissions"), &narrowed).refused(409, "CONFLICT"),
        json!({ "rule": "default_group" })
    );
    assert_eq!(acme.admin.delete(&format!("/v1/groups/{admins}/users/{}", acme.admin_id)).refused(409, "CONFLICT"), rule);
}

#[test]
fn members_are_added_listed_and_removed() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let (group, bia) = (acme.group("Suporte", &[]), acme.person("bia"));
    let path = format!("/v1/groups/{group}/users/{bia}");
    acme.admin.post(&path, &json!({})).data(201);
    assert_eq!(acme.admin.post(&path, &json!({})).refused(409, "DUPLICATE_RESOURCE"), json!({ "field": "userId" }));
    let members = acme.admin.get(&format!("/v1/groups/{group}/users")).data(200);
    assert_eq!((members.as_array().unwrap().len(), id(&members[0])), (1, bia));
    acme.admin.delete(&path).empty();
    acme.admin.delete(&path).refused(404, "NOT_FOUND");
    acme.admin.post(&format!("/v1/groups/{group}/users/{}", Uuid::now_v7()), &json!({})).refused(404, "NOT_FOUND");
    acme.admin.get(&format!("/v1/groups/{}/users", Uuid::now_v7())).refused(404, "NOT_FOUND");
}

#[test]
fn two_administrators_who_remove_each_other_at_once_leave_one() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let admins = acme.group_named("ADM_CLIENTE");
    for round in 0..5 {
        let second = acme.person(&format!("bia{round}"));
        database.execute(&format!(
            "insert into nebula.user_group (tenant_id, user_id, group_id) select '{0}', u, '{admins}' from unnest(array['{second}', '{1}']::uuid[]) u on conflict do nothing",
            acme.id, acme.admin_id
        ));
        // By keys, so that being removed takes away no one's right to remove.
        let (key, _) = acme.key(&edge, &json!({ "name": format!("k{round}"), "profile": "admin" }));
        let mut statuses = thread::scope(|scope| {
            let attempts = [second, acme.admin_id].map(|user| {
                let key = key.clone();
                scope.spawn(move || key.delete(&format!("/v1/groups/{admins}/users/{user}")).status)
            });
            attempts.map(|attempt| attempt.join().unwrap())
        });
        statuses.sort_unstable();
        assert_eq!(statuses, [204, 409], "round {round}");
        assert_eq!(
            database.number("select count(*) from nebula.user_group where tenant_id = $1 and group_id = $2", &[&acme.id, &admins]),
            1
        );
        database.execute(&format!(
            "insert into nebula.user_group (tenant_id, user_id, group_id) values ('{}', '{}', '{admins}') on conflict do nothing; \
             delete from nebula.user_group where user_id = '{second}'",
            acme.id, acme.admin_id
        ));
    }
}

#[test]
fn permissions_are_granted_listed_replaced_and_revoked() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let path = format!("/v1/groups/{}/permissions", acme.group("Suporte", &[]));
    let grant = |permissions: Value| acme.admin.post(&path, &json!({ "permissions": permissions }));
    let granted = grant(json!([{ "action": "users.list" }, { "action": "users.create", "constraints": { "maxPerDay": 2 } }])).data(201);
    assert_eq!((&granted[0]["action"], &granted[0]["constraints"]), (&json!("users.create"), &json!({ "maxPerDay": 2 })));
    let replaced = grant(json!([{ "action": "users.create" }])).data(201);
    assert_eq!((&replaced[0]["id"], &replaced[0]["constraints"]), (&granted[0]["id"], &json!({})));
    assert_eq!(acme.admin.get(&path).data(200).as_array().unwrap().len(), 2);
    acme.admin.delete(&format!("{path}/{}", id(&granted[0]))).empty();
    acme.admin.delete(&format!("{path}/{}", id(&granted[0]))).refused(404, "NOT_FOUND");
    grant(json!([])).invalid("permissions", "length");
    grant(json!([{ "action": "users.list" }, { "action": "users.list" }])).invalid("permissions[1].action", "repeated");
    grant(json!([{ "action": "users.list" }, { "action": "no.such" }])).invalid("permissions[1].action", "unknown_action");
    grant(json!([{ "action": "users.list", "constraints": { "unknown": 1 } }])).refused(400, "VALIDATION_ERROR");
    grant(json!([["users.list"]])).refused(400, "VALIDATION_ERROR");
    grant(json!("users.list")).invalid("permissions", "type");
    for (constraints, field, rule) in [
        (json!({ "ipCidrs": [] }), "ipCidrs", "length"),
        (json!({ "ipCidrs": vec!["10.0.0.0/8"; 101] }), "ipCidrs", "length"),
        (json!({ "resourceIds": [] }), "resourceIds", "length"),
        (json!({ "maxPerDay": 0 }), "maxPerDay", "range"),
        (json!({ "validFrom": "2030-01-01T00:00:00Z", "validUntil": "2029-01-01T00:00:00Z" }), "validUntil", "after_valid_from"),
    ] {
        grant(json!([{ "action": "users.list", "constraints": constraints }]))
            .invalid(&format!("permissions[0].constraints.{field}"), rule);
    }
    for constraints in [
        json!({ "ipCidrs": ["10.0.0.0/33"] }),
        json!({ "ipCidrs": "10.0.0.0/8" }),
        json!({ "maxPerDay": -1 }),
        json!({ "maxPerDay": 1.5 }),
        json!({ "validUntil": "tomorrow" }),
        json!({ "resourceIds": ["x"] }),
        json!([]),
    ] {
        grant(json!([{ "action": "users.list", "constraints": constraints }])).refused(400, "VALIDATION_ERROR");
    }
}

#[test]
fn a_group_is_suspended_with_a_reason_and_let_in_again() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let group = acme.group("Suporte", &[]);
    let path = format!("/v1/groups/{group}/status");
    let suspended = acme.admin.patch(&path, &json!({ "status": "suspenso", "suspendedReason": "auditoria" })).data(200);
    assert_eq!((&suspended["status"], &suspended["suspendedReason"]), (&json!("suspenso"), &json!("auditoria")));
    assert_eq!(acme.admin.get(&format!("/v1/groups/{group}")).data(200), suspended);
    acme.admin.patch(&path, &json!({ "status": "ativo", "suspendedReason": "x" })).invalid("suspendedReason", "only_when_suspending");
    assert_eq!(acme.admin.get(&format!("/v1/groups/{group}")).data(200), suspended);
    let active = acme.admin.patch(&path, &json!({ "status": "ativo" })).data(200);
    assert_eq!((&active["status"], &active["suspendedReason"]), (&json!("ativo"), &json!(null)));
}

#[test]
fn of_16_who_want_one_name_at_once_one_gets_it_and_nobody_fails() {
    let database = Database::new();
    let edge = database.serve_with(&[("NEBULA_POOL_WAIT_MS", "20000")]);
    let acme = onboard(&edge, "acme");
    let groups = (0..8).map(|number| acme.group(&format!("G{number}"), &[])).collect::<Vec<_>>();
    for round in 0..4 {
        let name = format!("Um {round}");
        let answers = thread::scope(|scope| {
            let attempts = (0..16).map(|number| {
                let (admin, name, group) = (&acme.admin, &name, groups[number / 2]);
                scope.spawn(move || match number % 2 {
                    0 => admin.patch(&format!("/v1/groups/{group}"), &json!({ "name": name })),
                    _ => admin.post("/v1/groups", &json!({ "name": name })),
                })
            });
            attempts.collect::<Vec<_>>().into_iter().map(|attempt| attempt.join().unwrap()).collect::<Vec<_>>()
        });
        let (won, lost) = answers.into_iter().partition::<Vec<_>, _>(|answer| [200, 201].contains(&answer.status));
        assert_eq!(won.len(), 1, "round {round}");
        for answer in lost {
            assert_eq!(answer.refused(409, "DUPLICATE_RESOURCE"), json!({ "field": "name" }), "round {round}");
        }
    }
}
