//! Pages, cursors, sorts and filters.

use nebula_tests::{Caller, Database, Edge, Tenant, User, onboard};
use serde_json::Value;
use std::collections::BTreeSet;

/// A tenant with its administrator and 119 others.
fn crowd() -> (Database, Edge, Tenant<User>) {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    // Ten at each instant, so that ids break ties.
    database
        .superuser()
        .execute(
            "insert into nebula.user (tenant_id, email, name, created_at) \
             select $1, 'user' || n || '@acme.example', 'Name ' || n % 7, '2026-01-01'::timestamptz + n / 10 * interval '1 hour' from generate_series(1, 119) n",
            &[&acme.id],
        )
        .unwrap();
    (database, edge, acme)
}

/// Every row, page by page, and how many pages there were.
fn walk(caller: &User, path: &str) -> (Vec<Value>, usize) {
    let (mut rows, mut pages, mut cursor) = (Vec::new(), 0, None::<String>);
    loop {
        let next = cursor.as_ref().map_or(path.to_owned(), |cursor| format!("{path}&cursor={cursor}"));
        let envelope = caller.get(&next).envelope(200);
        rows.extend(envelope["data"].as_array().unwrap().iter().cloned());
        pages += 1;
        assert!(pages < 50, "it doesn't end");
        assert_eq!(envelope["meta"]["hasMore"], envelope["meta"]["nextCursor"].is_string());
        match envelope["meta"]["nextCursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => return (rows, pages),
        }
    }
}

#[test]
fn every_row_is_on_one_page_whatever_the_sort() {
    let (_database, _edge, acme) = crowd();
    for sort in ["created_at:desc", "created_at:asc", "name:asc", "name:desc", "email:asc", "updated_at:desc"] {
        let (rows, pages) = walk(&acme.admin, &format!("/v1/users?limit=50&sort={sort}"));
        assert_eq!((rows.len(), pages), (120, 3), "{sort}");
        assert_eq!(rows.iter().map(|row| row["id"].to_string()).collect::<BTreeSet<_>>().len(), 120, "{sort}");
        let (column, direction) = sort.split_once(':').unwrap();
        let name = match column {
            "created_at" => "createdAt",
            "updated_at" => "updatedAt",
            other => other,
        };
        if column != "name" {
            let values = rows.iter().map(|row| row[name].as_str().unwrap()).collect::<Vec<_>>();
            assert!(values.windows(2).all(|pair| if direction == "asc" { pair[0] <= pair[1] } else { pair[0] >= pair[1] }), "{sort}");
        }
    }
    let (rows, pages) = walk(&acme.admin, "/v1/users?limit=120");
    assert_eq!((rows.len(), pages), (120, 1));
    assert_eq!(acme.admin.get("/v1/users").data(200).as_array().unwrap().len(), 50);
}

#[test]
fn rows_that_come_and_go_between_pages_repeat_no_other() {
    let (database, _edge, acme) = crowd();
    let first = acme.admin.get("/v1/users?limit=50&sort=created_at:asc").envelope(200);
    database.execute("delete from nebula.user where email = 'user3@acme.example'");
    database
        .superuser()
        .execute(
            "insert into nebula.user (tenant_id, email, name, created_at) values ($1, 'old@acme.example', 'Old', '2020-01-01')",
            &[&acme.id],
        )
        .unwrap();
    let second = acme
        .admin
        .get(&format!("/v1/users?limit=50&sort=created_at:asc&cursor={}", first["meta"]["nextCursor"].as_str().unwrap()))
        .envelope(200);
    let ids = |page: &Value| page["data"].as_array().unwrap().iter().map(|row| row["id"].to_string()).collect::<BTreeSet<_>>();
    assert!(ids(&first).is_disjoint(&ids(&second)));
}

#[test]
fn a_cursor_opens_only_the_list_sort_and_filter_that_it_was_made_for() {
    let (_database, edge, acme) = crowd();
    let zeta = onboard(&edge, "zeta");
    let page = acme.admin.get("/v1/users?limit=50&sort=email:asc&status=ativo").envelope(200);
    let cursor = page["meta"]["nextCursor"].as_str().unwrap();
    acme.admin.get(&format!("/v1/users?limit=10&sort=email:asc&status=ativo&cursor={cursor}")).data(200);
    for path in [
        "/v1/users?sort=email:desc&status=ativo",
        "/v1/users?sort=name:asc&status=ativo",
        "/v1/users?status=ativo",
        "/v1/users?sort=email:asc",
        "/v1/users?sort=email:asc&status=suspenso",
        "/v1/users?sort=email:asc&status=ativo&q=user",
        "/v1/users?sort=email:asc&status=ativo&createdAtFrom=2026-01-01T00:00:00Z",
        "/v1/groups?sort=name:asc&status=ativo",
        "/v1/audit-logs?limit=10",
    ] {
        acme.admin.get(&format!("{path}&cursor={cursor}")).invalid("cursor", "cursor");
    }
    zeta.admin.get(&format!("/v1/users?sort=email:asc&status=ativo&cursor={cursor}")).invalid("cursor", "cursor");
    let altered = |index: usize| {
        let mut bytes = cursor.as_bytes().to_vec();
        bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).unwrap()
    };
    for bad in [
        altered(0),
        altered(30),
        altered(cursor.len() - 2),
        cursor[..cursor.len() - 3].to_owned(),
        format!("{cursor}AAAA"),
        "x".into(),
        String::new(),
        "A".repeat(3_000),
    ] {
        acme.admin.get(&format!("/v1/users?sort=email:asc&status=ativo&cursor={bad}")).invalid("cursor", "cursor");
    }
}

#[test]
fn limits_sorts_and_filters_are_held_to_their_lists() {
    let (_database, _edge, acme) = crowd();
    for limit in ["0", "201", "-1", "x", "", "1.5", "+5", "1e2", "99999999999999999999", "%31%00"] {
        let answer = acme.admin.get(&format!("/v1/users?limit={limit}"));
        assert_eq!((answer.status, answer.code().as_str()), (400, "VALIDATION_ERROR"), "{limit}");
    }
    for limit in ["1", "200", "050"] {
        acme.admin.get(&format!("/v1/users?limit={limit}")).data(200);
    }
    for sort in ["name", "name:up", "id:asc", "tenant_id:asc", "email;drop:asc", "", ":", "name:asc,email:asc"] {
        acme.admin.get(&format!("/v1/users?sort={sort}")).invalid("sort", "sort");
    }
    acme.admin.get("/v1/users?status=deleted").invalid("status", "enum");
    acme.admin.get("/v1/users?unknown=1").invalid("unknown", "unknown");
    acme.admin.get("/v1/users?limit=1&limit=2").invalid("limit", "repeated");
    acme.admin.get("/v1/users?createdAtFrom=yesterday").refused(400, "VALIDATION_ERROR");
    acme.admin.get("/v1/audit-logs?q=x").refused(400, "VALIDATION_ERROR");
    acme.admin.get("/v1/users?q=").invalid("q", "empty");
}

#[test]
fn filters_narrow() {
    let (_database, _edge, acme) = crowd();
    let count = |query: &str| walk(&acme.admin, &format!("/v1/users?limit=200&{query}")).0.len();
    assert_eq!(count("q=user1"), 31);
    assert_eq!(count("q=USER11"), 11);
    assert_eq!(count("q=admin"), 1);
    assert_eq!(count("q=name+3"), 17);
    assert_eq!(count("q=%25"), 0);
    assert_eq!(count("q=user_"), 0);
    assert_eq!(count("q=%27%20or%20true%20--"), 0);
    assert_eq!(count("status=suspenso"), 0);
    assert_eq!(count("createdAtFrom=2026-01-01T03:00:00Z&createdAtTo=2026-01-01T05:00:00Z"), 20);
    assert_eq!(count("createdAtFrom=2026-01-01T00:00:00-03:00&createdAtTo=2026-01-01T02:00:00-03:00"), 20);
}

#[test]
fn the_audit_log_is_filtered_by_actor_action_and_entity() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let bia = acme.person("bia");
    let (key, key_id) = acme.key(&edge, &serde_json::json!({ "name": "k", "profile": "write" }));
    key.post("/v1/users", &serde_json::json!({ "email": "caio@acme.example", "name": "Caio" })).data(201);
    let logs = |query: &str| acme.admin.get(&format!("/v1/audit-logs?limit=200&{query}")).data(200).as_array().unwrap().clone();
    let of_bia = logs(&format!("entityType=user&entityId={bia}"));
    assert_eq!((of_bia.len(), &of_bia[0]["action"]), (1, &serde_json::json!("users.create")));
    assert_eq!(logs("action=users.create").len(), 2);
    assert_eq!(logs(&format!("actor={key_id}")).len(), 1);
    assert!(logs(&format!("actor={}", acme.admin_id)).iter().all(|log| log["actorUserId"] == acme.admin_id.to_string()));
    let (rows, pages) = walk(&acme.admin, "/v1/audit-logs?limit=2&action=users.create");
    assert_eq!((rows.len(), pages), (2, 1));
    acme.admin.get("/v1/audit-logs?actor=x").invalid("actor", "uuid");
    acme.admin.get("/v1/audit-logs?sort=action:asc").invalid("sort", "sort");
}
