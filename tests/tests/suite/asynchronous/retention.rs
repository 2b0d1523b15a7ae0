//! What is too old goes, by each tenant's profile, and nothing else does.

use super::archives::holds;
use nebula_tests::{Retention, Tenant, eventually, onboard_by_sql};
use postgres::{Client, error::SqlState};
use serde_json::json;

/// Tenants of the three profiles.
fn tenants(retention: &Retention) -> [Tenant<String>; 3] {
    ["mvp", "standard", "enterprise"].map(|profile| {
        let tenant = onboard_by_sql(&retention.database, profile);
        retention.set_profile(tenant.id, profile);
        tenant
    })
}

/// Five months ago: 90 days are over, 180 are not. Eight: both.
fn two_old_months(retention: &Retention, tenants: &[Tenant<String>; 3]) {
    for months_ago in [5, 8] {
        retention.plant("audit_log", months_ago);
        for (index, tenant) in (3..).zip(tenants) {
            retention.write_audit(tenant.id, months_ago, index);
        }
    }
}

#[test]
fn each_tenant_loses_what_its_profile_says_and_a_second_run_changes_nothing() {
    let retention = Retention::new();
    let all = tenants(&retention);
    two_old_months(&retention, &all);
    let [mvp, standard, enterprise] = &all;
    let kept = retention.rows("audit_log", enterprise.id);
    let kept = kept.into_iter().filter(|row| !row.contains(&format!("\"{}-", retention.month(8)))).collect::<Vec<_>>();
    let report = retention.run().done();
    assert!(report.contains("archives written: 3 with 13 rows"), "{report}");
    let left = |months_ago: i32| all.each_ref().map(|tenant| retention.audit_rows(tenant.id, months_ago));
    assert_eq!((left(5), left(8)), ([0, 0, 5], [0, 0, 0]));
    let five = format!("audit_log_{}", retention.month(5).replace('-', "_"));
    assert_eq!(retention.old_partitions("audit_log"), [five.as_str()]);
    // Byte for byte what it was.
    let now = retention.rows("audit_log", enterprise.id);
    assert!(kept.iter().all(|row| now.contains(row)) && kept.len() > 5);
    let archives = "select t.slug || ' ' || to_char(a.month, 'YYYY-MM') || ' ' || a.row_count || ' ' || (a.dropped_at is not null) \
                    from nebula.archive a join nebula.tenant t on t.id = a.tenant_id order by 1";
    let (month5, month8) = (retention.month(5), retention.month(8));
    let expected = [format!("enterprise {month8} 5 true"), format!("standard {month8} 4 true"), format!("standard {month5} 4 true")];
    let mut expected = expected.to_vec();
    expected.sort();
    assert_eq!(retention.database.texts(archives, &[]), expected);
    holds(&retention, standard.id, 5, 4, 12);
    holds(&retention, standard.id, 8, 4, 12);
    holds(&retention, enterprise.id, 8, 5, 60);
    assert!(!retention.archive(mvp.id, 8).exists() && !retention.archive(enterprise.id, 5).exists());

    let before = (retention.database.digests(), retention.files());
    let report = retention.run().done();
    assert!(report.contains("archives written: 0") && !report.contains("dropped") && !report.contains("rebuilt"), "{report}");
    assert_eq!((retention.database.digests(), retention.files()), before);
}

#[test]
fn a_month_that_some_keep_is_rebuilt_and_governed_as_before() {
    let retention = Retention::new();
    let all = tenants(&retention);
    two_old_months(&retention, &all);
    let enterprise = &all[2];
    let partition = format!("audit_log_{}", retention.month(5).replace('-', "_"));
    let before = retention.description(&partition);
    let oid = || retention.database.text("select ('nebula.' || $1)::regclass::oid::text", &[&partition]);
    let old = oid();
    retention.run().done();
    assert_ne!(oid(), old, "the partition was not rebuilt");
    assert_eq!(retention.description(&partition), before);
    // It is history still, also for who turns triggers off.
    let mut superuser = retention.database.superuser();
    superuser.batch_execute("set session_replication_role = replica").unwrap();
    for sql in [
        format!("update nebula.{partition} set action = 'x'"),
        format!("delete from nebula.{partition}"),
        format!("truncate nebula.{partition}"),
        "delete from nebula.audit_log".to_owned(),
    ] {
        let error = superuser.batch_execute(&sql).unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{sql}");
    }
    // Its tenant reads it as before, and nobody else does.
    let range = json!({ "createdAtFrom": format!("{}-01T00:00:00Z", retention.month(5)), "createdAtTo": format!("{}-01T00:00:00Z", retention.month(4)) });
    let mut handle = retention.database.handle();
    for (tenant, rows) in all.iter().zip([0, 0, 5]) {
        assert_eq!(tenant.does(&mut handle, "audit.list", &range, 200).as_array().unwrap().len(), rows);
    }
    // What comes late goes where it belongs.
    retention.write_audit(enterprise.id, 5, 1);
    assert_eq!(retention.database.number(&format!("select count(*) from nebula.{partition}"), &[]), 6);
}

#[test]
fn usage_attempts_and_finished_events_go_by_their_own_times() {
    let retention = Retention::new();
    let _ = tenants(&retention);
    // 12 and 13 months are over, 36 are not; nobody keeps forty months.
    for months_ago in [15, 40] {
        retention.plant("usage_metrics", months_ago);
        let from = format!("{}-03 00:00:00+00", retention.month(months_ago));
        let sql = "insert into nebula.usage_metrics (tenant_id, tool_action_id, period_start, period_end, count) \
                   select t.id, a.id, $1::text::timestamptz, $1::text::timestamptz + interval '1 hour', 7 from nebula.tenant t, nebula.tool_action a where a.key in ('users.list', 'users.create')";
        retention.database.superuser().execute(sql, &[&from]).unwrap();
    }
    // The profile's days are a DBA's to change.
    retention.database.execute("update nebula.operational_profile set delivery_days = 200 where key = 'enterprise'");
    for source in ["webhook_delivery", "outbox_finished"] {
        retention.plant(source, 4);
    }
    let at = format!("{}-28 23:59:59+00", retention.month(4));
    let attempts = "insert into nebula.webhook_delivery (tenant_id, webhook_subscription_id, event_id, event_type, attempt, created_at) \
                    select id, nebula.uuid_v7(), nebula.uuid_v7(), 'user.created', 1, $1::text::timestamptz from nebula.tenant";
    let events = "insert into nebula.outbox (tenant_id, type, payload, status, created_at) \
                  select tenant, 'user.created', '{}', status, $1::text::timestamptz \
                  from (select id from nebula.tenant union all select null) t (tenant), unnest(array['done', 'dead', 'pending']) status";
    for sql in [attempts, events] {
        retention.database.superuser().execute(sql, &[&at]).unwrap();
    }
    retention.run().done();
    let count = |table: &str, condition: &str| {
        let sql = format!(
            "select coalesce(string_agg(slug || ' ' || n, ', ' order by slug), '') from ( \
            select coalesce(t.slug, 'nobody') as slug, count(*) as n from nebula.{table} r left join nebula.tenant t on t.id = r.tenant_id where {condition} group by 1) s"
        );
        retention.database.text(&sql, &[])
    };
    assert_eq!(count("usage_metrics", "r.count = 7"), "enterprise 2");
    assert_eq!(count("webhook_delivery", "true"), "enterprise 1");
    assert_eq!(count("outbox", "r.created_at < now() - interval '2 months' and r.status <> 'pending'"), "enterprise 2");
    // What waits is not finished, however old it is.
    let pending = count("outbox", "r.created_at < now() - interval '2 months' and r.status = 'pending'");
    for whose in ["enterprise 1", "mvp 1", "nobody 1", "standard 1"] {
        assert!(pending.contains(whose), "{pending}");
    }
    assert_eq!(retention.database.number("select count(*) from nebula.archive", &[]), 0);
    for (source, months) in [("usage_metrics", vec![15]), ("webhook_delivery", vec![4]), ("outbox_finished", vec![4])] {
        let expected = months.into_iter().map(|ago| format!("{source}_{}", retention.month(ago).replace('-', "_"))).collect::<Vec<_>>();
        assert_eq!(retention.old_partitions(source), expected);
        // As a partition that was never rebuilt, names of indexes apart: they are cut to a length.
        let fresh = retention.plant(source, 50);
        let shape = |partition: &str| {
            let lines =
                retention.description(partition).into_iter().filter(|line| !line.contains("INDEX") && !line.contains("Type: INDEX"));
            lines.collect::<Vec<_>>()
        };
        assert_eq!(shape(&expected[0]), shape(&fresh));
        let indexes = "select coalesce(string_agg(definition, '; ' order by definition), '') from ( \
                       select regexp_replace(pg_get_indexdef(indexrelid), '^.* USING', '') as definition from pg_index where indrelid = ('nebula.' || $1)::regclass) d";
        assert_eq!(retention.database.text(indexes, &[&expected[0]]), retention.database.text(indexes, &[&fresh]));
    }
}

#[test]
fn rows_of_the_default_partition_are_brought_out_and_go_like_others() {
    let retention = Retention::new();
    let all = tenants(&retention);
    for tenant in &all {
        retention.write_audit(tenant.id, 5, 4);
        retention.write_audit(tenant.id, 70, 3);
    }
    let far =
        "insert into nebula.audit_log (tenant_id, actor_type, action, entity_type, created_at) values ($1, 'system', 'x', 'x', 'infinity')";
    retention.database.superuser().execute(far, &[&all[0].id]).unwrap();
    let default = || retention.database.number("select count(*) from nebula.audit_log_default", &[]);
    assert_eq!(default(), 22);
    let before = (retention.description("audit_log_default"), retention.rows("audit_log", all[2].id).len());
    let report = retention.run().done();
    assert!(report.contains("rows brought out of default partitions: 21"), "{report}");
    // What has no month stays.
    assert_eq!(default(), 1);
    assert_eq!(all.each_ref().map(|tenant| retention.audit_rows(tenant.id, 5)), [0, 0, 4]);
    assert_eq!(all.each_ref().map(|tenant| retention.audit_rows(tenant.id, 70)), [0, 0, 0]);
    // So long ago that no archive of it would be kept any more.
    assert!(!retention.archive(all[2].id, 70).exists());
    holds(&retention, all[1].id, 5, 4, 12);
    assert_eq!(retention.description("audit_log_default"), before.0);
    let made = format!("audit_log_{}", retention.month(5).replace('-', "_"));
    let planted = retention.plant("audit_log", 80);
    assert_eq!(retention.description(&made), retention.description(&planted));
}

#[track_caller]
fn refused(worker: &mut Client, sql: &str, state: &SqlState) {
    let error = worker.batch_execute(sql).expect_err(sql);
    assert_eq!(error.code(), Some(state), "{sql}: {error:?}");
}

#[test]
fn the_workers_login_drops_and_reads_nothing_that_is_not_due() {
    let retention = Retention::new();
    let all = tenants(&retention);
    two_old_months(&retention, &all);
    let [mvp, standard, enterprise] = all.each_ref().map(|tenant| tenant.id);
    let mut worker = retention.database.connect("nebula_worker");
    let before = (retention.database.digests(), retention.old_partitions("audit_log"));
    let this_month = retention.month(0);
    for (source, month, outcome) in [
        ("audit_log", this_month.as_str(), Some("kept")),
        ("audit_log", &retention.month(1), None),
        ("audit_log", "default", None),
        ("audit_log", "2026-13", None),
        ("audit_log", "2026-01'; drop table nebula.user; --", None),
        ("user", &retention.month(5), None),
        ("outbox_live", &this_month, None),
        ("usage_metrics", &this_month, Some("kept")),
    ] {
        let row = worker.query_one("select nebula.drop_partition($1, $2, '{}')", &[&source, &month]).unwrap();
        assert_eq!(row.get::<_, Option<String>>(0).as_deref(), outcome, "{source} {month}");
    }
    // Whose rows are kept, who archives nothing, and who isn't there.
    let page = "select * from nebula.archive_page($1, $2, $3, '', 10)";
    for (tenant, months_ago) in [(enterprise, 5), (mvp, 5), (mvp, 8), (standard, 0), (uuid::Uuid::now_v7(), 8)] {
        assert!(worker.query(page, &[&tenant, &"audit_log", &retention.month(months_ago)]).unwrap().is_empty());
    }
    assert!(worker.query(page, &[&standard, &"outbox_finished", &retention.month(8)]).unwrap().is_empty());
    assert_eq!(worker.query_one(page, &[&standard, &"audit_log", &retention.month(5)]).unwrap().get::<_, i32>(1), 4);
    let record = |worker: &mut Client, tenant: uuid::Uuid, months_ago: i32, rows: i64| -> bool {
        let sql = "select nebula.record_archive($1, 'audit_log', $2, $3, $4)";
        worker.query_one(sql, &[&tenant, &retention.month(months_ago), &rows, &vec![0_u8; 32]]).unwrap().get(0)
    };
    for (tenant, months_ago, rows) in
        [(standard, 5, 3), (standard, 5, 5), (standard, 5, 0), (standard, 0, 0), (enterprise, 5, 5), (mvp, 5, 3)]
    {
        assert!(!record(&mut worker, tenant, months_ago, rows), "{months_ago} {rows}");
    }
    assert_eq!((retention.database.digests(), retention.old_partitions("audit_log")), before);

    // A month with rows that wait for their archive keeps these.
    let month = retention.month(8);
    let drop = |worker: &mut Client| -> Option<String> {
        worker.query_one("select nebula.drop_partition('audit_log', $1, '{}')", &[&month]).unwrap().get(0)
    };
    assert_eq!(drop(&mut worker).as_deref(), Some("rebuilt"));
    assert_eq!([mvp, standard, enterprise].map(|tenant| retention.audit_rows(tenant, 8)), [0, 4, 5]);
    assert_eq!(drop(&mut worker).as_deref(), Some("kept"));

    // An archive that lives is not forgotten.
    assert!(record(&mut worker, standard, 8, 4));
    let forget = "select nebula.forget_archive(tenant_id, id) from nebula.archive";
    refused(&mut worker, forget, &SqlState::INSUFFICIENT_PRIVILEGE);
    let id: uuid::Uuid = retention.database.superuser().query_one("select id from nebula.archive", &[]).unwrap().get(0);
    assert!(!worker.query_one("select nebula.forget_archive($1, $2)", &[&standard, &id]).unwrap().get::<_, bool>(0));

    refused(&mut worker, "select nebula.ensure_partitions(100000)", &SqlState::INVALID_PARAMETER_VALUE);
    for sql in [
        "select nebula.exchange_partition('audit_log', 'audit_log_default', '{}')",
        "select nebula.copy_partition('audit_log', 'audit_log_default', '2026_01')",
        "select nebula.govern_partition('nebula.audit_log_default')",
        "select from nebula.audit_log",
        "select from nebula.audit_log_default",
        "delete from nebula.session",
        "insert into nebula.archive default values",
        "drop table nebula.audit_log_default",
    ] {
        refused(&mut worker, sql, &SqlState::INSUFFICIENT_PRIVILEGE);
    }
    worker.batch_execute("begin isolation level repeatable read").unwrap();
    worker.batch_execute(&format!("select nebula.drop_partition('audit_log', '{month}', '{{}}')")).unwrap_err();
}

#[test]
fn a_partition_with_other_bounds_than_its_name_says_is_not_dropped() {
    let retention = Retention::new();
    let month = retention.month(30).replace('-', "_");
    retention.database.execute(&format!(
        "set role nebula_owner; create table nebula.audit_log_{month} partition of nebula.audit_log for values from ('2001-01-01 00:00:00+00') to ('2002-01-01 00:00:00+00')"
    ));
    retention.run().done();
    assert_eq!(retention.old_partitions("audit_log"), [format!("audit_log_{month}")]);
}

#[test]
fn while_somebody_reads_a_month_it_stays_and_nobody_else_waits() {
    let retention = Retention::new();
    let all = tenants(&retention);
    two_old_months(&retention, &all);
    let before = retention.rows("audit_log", all[0].id).len();
    let mut reader = retention.database.superuser();
    let mut reading = reader.transaction().unwrap();
    reading.query("select count(*) from nebula.audit_log", &[]).unwrap();
    let mut run = retention.start();
    let archived = "select count(*) from nebula.archive";
    eventually("the archives are made", || retention.database.number(archived, &[]) == 3);
    // Requests write to the log meanwhile; each by far faster than the reader ends.
    let mut handle = retention.database.handle();
    let mut superuser = retention.database.superuser();
    let waiting = "select count(*) from pg_stat_activity where usename = 'nebula_worker' and datname = $1 and query like '%drop_partition%' and state = 'active'";
    eventually("it tries to drop", || superuser.query_one(waiting, &[&retention.database.name]).unwrap().get::<_, i64>(0) > 0);
    for number in 0..5 {
        all[0].does(&mut handle, "groups.create", &json!({ "name": format!("durante {number}") }), 201);
    }
    // What is killed in the middle has changed nothing.
    run.kill().unwrap();
    run.wait().unwrap();
    drop(reading);
    let gone = "select count(*) from pg_stat_activity where usename = 'nebula_worker' and datname = $1";
    superuser
        .execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'nebula_worker' and datname = $1",
            &[&retention.database.name],
        )
        .unwrap();
    eventually("its sessions end", || superuser.query_one(gone, &[&retention.database.name]).unwrap().get::<_, i64>(0) == 0);
    assert!(retention.rows("audit_log", all[0].id).len() > before);
    for months_ago in [5, 8] {
        assert_eq!(all.each_ref().map(|tenant| retention.audit_rows(tenant.id, months_ago)), [3, 4, 5]);
    }
    assert_eq!(retention.database.number("select count(*) from nebula.archive where dropped_at is not null", &[]), 0);
    // The archives are made already, and what came since belongs to another month.
    let report = retention.run().done();
    assert!(report.contains("archives written: 0"), "{report}");
    assert_eq!(all.each_ref().map(|tenant| retention.audit_rows(tenant.id, 5)), [0, 0, 5]);
}

#[test]
fn one_run_at_a_time() {
    let retention = Retention::new();
    let mut other = retention.database.superuser();
    other.batch_execute("select pg_advisory_lock(x'6e6562756c610002'::bigint)").unwrap();
    assert!(retention.run().failed().contains("another run is under way"));
    drop(other);
    retention.run().done();
}

#[test]
fn a_copy_of_a_database_lets_go_of_nothing() {
    let retention = Retention::new();
    let all = tenants(&retention);
    two_old_months(&retention, &all);
    retention.database.execute("delete from nebula.delivery_place");
    let before = (retention.database.digests(), retention.old_partitions("audit_log"));
    assert!(retention.run().failed().contains("this database is a copy"));
    let mut worker = retention.database.connect("nebula_worker");
    for sql in [
        "select nebula.retention_plan()".to_owned(),
        format!("select nebula.drop_partition('audit_log', '{}', '{{}}')", retention.month(8)),
        "select nebula.purge(10)".to_owned(),
        "select * from nebula.expired_archives()".to_owned(),
    ] {
        refused(&mut worker, &sql, &SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
    }
    assert_eq!((retention.database.digests(), retention.old_partitions("audit_log")), before);
    assert!(retention.files().is_empty());
}
