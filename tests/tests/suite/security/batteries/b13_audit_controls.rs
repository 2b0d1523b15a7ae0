//! What changes the audit log legally, and leaves its seals as they should be: nothing is found.

use nebula_tests::{AuditChain, Database, cluster::postgres_program};
use serde_json::json;
use std::{fs, process::Command, thread, time::Duration};
use uuid::Uuid;

#[test]
fn rows_of_before_the_feature_are_sealed_and_what_waits_is_told() {
    let chain = AuditChain::new();
    let report = chain.verify().clean();
    assert!(report["rows"].as_u64().unwrap() > 48 && report["unsealedRows"] == 0 && report["headsAt"].is_string(), "{report:#}");
    let mut handle = chain.database().handle();
    chain.acme.does(&mut handle, "groups.create", &json!({ "name": "Suporte" }), 201);
    let report = chain.verify().clean();
    assert_eq!(report["unsealedRows"], 1, "{report:#}");
    assert_eq!(
        chain.verify_with(&["--max-lag-seconds", "0", "--tenant", "acme"]).report["unsealedSeconds"].as_i64().map(|seconds| seconds < 60),
        Some(true)
    );
    assert_eq!(chain.seal(), "1 rows sealed in 1 blocks");
    assert_eq!(chain.seal(), "0 rows sealed in 0 blocks");
    assert_eq!(chain.verify().clean()["unsealedRows"], 0);
}

#[test]
fn retention_that_was_due_leaves_a_log_that_verifies() {
    let chain = AuditChain::new();
    let database = chain.database();
    // Of a month that everybody's profile has let go of, and one that only one of the two keeps.
    for months_ago in [8, 5] {
        chain.retention.plant("audit_log", months_ago);
        for tenant in [&chain.acme, &chain.zeta] {
            chain.retention.write_audit(tenant.id, months_ago, 6);
        }
    }
    chain.retention.set_profile(chain.zeta.id, "enterprise");
    // They count as if they had been there from the start: nothing is sealed before them.
    database.execute(
        "truncate nebula.audit_block, nebula.audit_segment, nebula.audit_watermark; update nebula.operational_profile set archive_months = null where key = 'enterprise'",
    );
    chain.seal();
    chain.does(&["audit", "heads", "--replace"]).unwrap();
    chain.retention.run().done();
    assert_eq!(
        [8, 5].map(|ago| (chain.retention.audit_rows(chain.acme.id, ago), chain.retention.audit_rows(chain.zeta.id, ago))),
        [(0, 0), (0, 6)]
    );
    // Before the worker has sealed the drop, and after.
    assert_eq!(chain.verify().clean()["droppedMonths"], 3);
    chain.seal();
    assert_eq!(database.number("select count(*) from nebula.audit_segment where drop_mac is not null", &[]), 3);
    // Once sealed it stays right, whatever the profile says later.
    chain.retention.set_profile(chain.acme.id, "enterprise");
    chain.seal();
    chain.verify().clean();
    assert_eq!(
        database.number(
            "select count(*) from nebula.audit_block b join nebula.audit_segment s using (tenant_id, month) where s.dropped_at is not null",
            &[]
        ),
        0
    );
    chain.export().unwrap();
}

#[test]
fn anonymising_leaves_a_log_that_verifies_and_nothing_to_guess_with() {
    let chain = AuditChain::new();
    let database = chain.database();
    let mut handle = database.handle();
    let bia = chain.acme.does(&mut handle, "users.create", &json!({ "email": "bia@acme.example", "name": "Bia" }), 201);
    let bia: Uuid = bia["id"].as_str().unwrap().parse().unwrap();
    let acts = |count: i32| {
        let sql = "insert into nebula.audit_log (tenant_id, actor_user_id, actor_type, action, entity_type, ip, user_agent) \
                   select $1, $2, 'user', 'users.list', 'x', '203.0.113.9', 'canary' from generate_series(1, $3)";
        database.superuser().execute(sql, &[&chain.acme.id, &bia, &count]).unwrap();
    };
    acts(3);
    chain.seal();
    // Some are sealed, some are not.
    acts(2);
    chain.acme.does(&mut handle, "users.anonymize", &json!({ "id": bia }), 204);
    assert_eq!(database.number("select count(*) from nebula.audit_erasure where user_id = $1", &[&bia]), 5);
    chain.verify().clean();
    chain.seal();
    chain.verify().clean();
    assert_eq!(database.number("select count(*) from nebula.audit_erasure where mac is null", &[]), 0);
    // 16 bytes a row: of those that were taken away not one is left, and the others are all there.
    let left = "select count(*) from nebula.audit_block b cross join lateral unnest(b.row_ids) with ordinality u (id, place) \
                join nebula.audit_erasure e on e.tenant_id = b.tenant_id and e.id = u.id \
                where substr(b.origins, 16 * u.place::integer - 15, 16) <> decode(repeat('00', 16), 'hex')";
    assert_eq!(database.number(left, &[]), 0);
    assert_eq!(
        database.number(
            "select count(*) from nebula.audit_log where actor_user_id = $1 and (ip is not null or user_agent is not null)",
            &[&bia]
        ),
        0
    );
}

#[test]
fn a_dump_that_is_restored_verifies_and_goes_on() {
    let chain = AuditChain::new();
    let restored = Database::new();
    let file = chain.retention.storage.join("dump");
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(postgres_program(program))
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .current_dir("/")
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let superuser = chain.database().installation.cluster.superuser;
    run("pg_dump", &["-Fc", "-f", &file.display().to_string(), &chain.database().url(superuser)]);
    restored.execute("drop schema nebula cascade; drop extension if exists nebula");
    run("pg_restore", &["--exit-on-error", "-d", &restored.url(superuser), &file.display().to_string()]);
    let rows = chain.verify().clean()["rows"].clone();
    assert_eq!(chain.verify_of(&restored, &[]).clean()["rows"], rows);
    restored.execute("select nebula.adopt_here()");
    let output = chain.nebula_of(&restored, &chain.keys, &["audit", "seal"]);
    assert!(output.status.success(), "{output:?}");
    chain.verify_of(&restored, &[]).clean();
}

#[test]
fn a_key_that_was_rotated_seals_and_the_old_one_still_verifies() {
    let mut chain = AuditChain::new();
    chain.keys = chain.database().own_keys();
    let mut handle = chain.database().handle();
    let write =
        |handle: &mut nebula_tests::Handle, name: &str| drop(chain.acme.does(handle, "groups.create", &json!({ "name": name }), 201));
    assert_eq!(chain.does(&["key", "audit", "rotate", "--prepare"]).unwrap(), "audit-2");
    write(&mut handle, "um");
    chain.seal();
    let versions = "select string_agg(distinct key_version::text, ' ' order by key_version::text) from nebula.audit_block";
    assert_eq!(chain.database().text(versions, &[]), "1");
    chain.does(&["key", "audit", "register"]).unwrap();
    write(&mut handle, "dois");
    chain.seal();
    assert_eq!(chain.database().text(versions, &[]), "1 2");
    chain.verify().clean();
    chain.export().unwrap();
    // A worker that lacks a registered key seals nothing: what it sealed would be another chain.
    fs::rename(chain.keys.join("audit-2.key"), chain.keys.join("elsewhere")).unwrap();
    write(&mut handle, "tres");
    assert!(chain.try_seal().unwrap_err().contains("audit-2.key is not on this machine"));
    fs::rename(chain.keys.join("elsewhere"), chain.keys.join("audit-2.key")).unwrap();
    chain.seal();
    chain.verify().clean();
}

/// What commits late is sealed late, wherever its time lies: it is no row that was put in behind.
#[test]
fn writers_with_long_transactions_beside_the_sealer_leave_a_log_that_verifies() {
    let chain = AuditChain::new();
    let tenant = chain.acme.id;
    let insert = format!(
        "insert into nebula.audit_log (tenant_id, actor_type, action, entity_type) values ('{tenant}', 'system', 'new.thing', 'x')"
    );
    let mut long = chain.database().superuser();
    // Its time is fixed, and it has written nothing yet.
    long.batch_execute("begin; select 1").unwrap();
    thread::scope(|scope| {
        for writer in 0..4 {
            let (chain, insert) = (&chain, &insert);
            scope.spawn(move || {
                let mut client = chain.database().superuser();
                for round in 0..40 {
                    let end = if (round + writer) % 5 == 0 { "rollback" } else { "commit" };
                    client
                        .batch_execute(&format!("begin; {insert}; savepoint s; {insert}; release s; select pg_sleep(0.01); {end}"))
                        .unwrap();
                }
            });
        }
        for _ in 0..8 {
            chain.seal();
            chain.verify().clean();
            thread::sleep(Duration::from_millis(60));
        }
    });
    long.batch_execute(&insert).unwrap();
    chain.seal();
    chain.verify().clean();
    let start = "select count(*) from nebula.audit_watermark w, (select min(xact_start) as oldest from pg_stat_activity where datname = current_database() and state like 'idle in%') a \
                 where w.complete_before <= a.oldest";
    assert_eq!(chain.database().number(start, &[]), 1, "the watermark went past a transaction that is under way");
    long.batch_execute("commit").unwrap();
    assert_eq!(chain.verify().clean()["unsealedRows"], 1);
    chain.seal();
    assert_eq!(chain.verify().clean()["unsealedRows"], 0);
    assert_eq!(
        chain
            .database()
            .number("select count(*) - count(distinct u) from nebula.audit_block b cross join lateral unnest(b.row_ids) u", &[]),
        0
    );
}

#[test]
fn two_sealers_at_once_seal_no_row_twice() {
    let chain = AuditChain::new();
    let insert = "insert into nebula.audit_log (tenant_id, actor_type, action, entity_type) select $1, 'system', 'new.thing', 'x' from generate_series(1, 2500)";
    chain.database().superuser().execute(insert, &[&chain.acme.id]).unwrap();
    thread::scope(|scope| {
        let sealers = [(); 3].map(|()| scope.spawn(|| chain.try_seal()));
        assert!(sealers.into_iter().map(|sealer| sealer.join().unwrap()).filter(Result::is_ok).count() > 0);
    });
    chain.seal();
    let report = chain.verify().clean();
    assert_eq!(report["unsealedRows"], 0, "{report:#}");
    assert_eq!(
        chain
            .database()
            .number("select count(*) - count(distinct u) from nebula.audit_block b cross join lateral unnest(b.row_ids) u", &[]),
        0
    );
}
