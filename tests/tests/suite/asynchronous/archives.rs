//! Archives: complete, checked, without personal data, and made before anything goes.

use nebula_core::hex;
use nebula_tests::{ObjectStorage, Retention, onboard_by_sql};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    process::{Command, Stdio},
};
use uuid::Uuid;

/// A tenant's archive of a month holds so many rows, is what its manifest and the database say, and expires so many months after its month.
#[track_caller]
pub fn holds(retention: &Retention, tenant: Uuid, months_ago: i32, rows: usize, expires_months: i32) {
    let folder = retention.archive(tenant, months_ago);
    let lines = retention.archived(tenant, months_ago);
    assert_eq!(lines.len(), rows);
    let numbers = lines.iter().map(|line| line["metadata"]["number"].as_i64().unwrap()).collect::<BTreeSet<_>>();
    assert_eq!(numbers, (1..=i64::try_from(rows).unwrap()).collect());
    let columns = [
        "action",
        "actor_api_key_id",
        "actor_type",
        "actor_user_id",
        "created_at",
        "entity_id",
        "entity_type",
        "id",
        "metadata",
        "tenant_id",
    ];
    for line in &lines {
        assert_eq!(
            line.as_object().unwrap().keys().collect::<BTreeSet<_>>(),
            columns.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>().iter().collect()
        );
        assert_eq!(line["tenant_id"], json!(tenant));
        assert_eq!(line["metadata"]["text"], "ç \"日本\" \\ \n");
        assert!(line["created_at"].as_str().unwrap().starts_with(&retention.month(months_ago)), "{line}");
    }
    assert!(lines.iter().map(|line| (line["created_at"].as_str(), line["id"].as_str())).is_sorted());
    let file = fs::read(folder.join("rows.ndjson.gz")).unwrap();
    let digest = hex::encode(&Sha256::digest(&file));
    let manifest: Value = serde_json::from_slice(&fs::read(folder.join("manifest.json")).unwrap()).unwrap();
    let expires = "select to_char(($1 || '-01')::date + interval '1 month' + make_interval(months => $2), 'YYYY-MM-DD\"T\"00:00:00\"Z\"')";
    let expires = retention.database.text(expires, &[&retention.month(months_ago), &expires_months]);
    let mut named = manifest["columns"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect::<Vec<_>>();
    named.sort_unstable();
    assert_eq!(named, columns);
    let expected = json!({
        "format": "nebula.archive", "version": 1, "table": "audit_log", "tenantId": tenant, "month": retention.month(months_ago), "file": "rows.ndjson.gz",
        "rowCount": rows, "sha256": digest, "expiresAt": expires, "columns": manifest["columns"], "createdAt": manifest["createdAt"],
    });
    assert_eq!(manifest, expected);
    assert!(manifest["createdAt"].as_str().unwrap().ends_with('Z'));
    let recorded = "select row_count || ' ' || encode(sha256, 'hex') || ' ' || to_char(expires_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') || ' ' || location \
                    from nebula.archive where tenant_id = $1 and source = 'audit_log' and to_char(month, 'YYYY-MM') = $2";
    let location = folder.strip_prefix(&retention.storage).unwrap().display().to_string();
    assert_eq!(
        retention.database.text(recorded, &[&tenant, &retention.month(months_ago)]),
        format!("{rows} {digest} {expires} {location}")
    );
}

/// Acme, whose profile is standard, and so many rows of five months ago.
fn acme_with(rows: i32) -> (Retention, Uuid) {
    let retention = Retention::new();
    let acme = onboard_by_sql(&retention.database, "acme").id;
    retention.set_profile(acme, "standard");
    retention.plant("audit_log", 5);
    retention.write_audit(acme, 5, rows);
    (retention, acme)
}

#[test]
fn an_archive_of_many_pages_is_whole_and_holds_no_personal_data() {
    let (retention, acme) = acme_with(3_456);
    retention.run().done();
    holds(&retention, acme, 5, 3_456, 12);
    assert_eq!(retention.audit_rows(acme, 5), 0);
    let text = format!("{:?}", retention.archived(acme, 5));
    assert!(!text.contains("203.0.113.77") && !text.contains("canary-agent"));
}

#[test]
fn without_a_storage_rows_that_are_to_be_archived_stay_and_others_go() {
    let (retention, acme) = acme_with(4);
    let zeta = onboard_by_sql(&retention.database, "zeta").id;
    retention.write_audit(zeta, 5, 3);
    let problem = retention.run_without_storage().failed();
    assert!(problem.contains("1 archives wait") && problem.contains("NEBULA_STORAGE_URL"), "{problem}");
    assert_eq!((retention.audit_rows(acme, 5), retention.audit_rows(zeta, 5)), (4, 0));
    assert_eq!(retention.database.number("select count(*) from nebula.archive", &[]), 0);
    retention.run().done();
    assert_eq!(retention.audit_rows(acme, 5), 0);
    holds(&retention, acme, 5, 4, 12);
}

#[test]
fn a_storage_that_fails_loses_nothing() {
    let (retention, acme) = acme_with(4);
    let zeta = onboard_by_sql(&retention.database, "zeta").id;
    retention.set_profile(zeta, "standard");
    retention.write_audit(zeta, 5, 3);
    // A file stands where the folder should be.
    fs::create_dir(&retention.storage).unwrap();
    fs::write(retention.storage.join("archives"), "").unwrap();
    let problem = retention.run().failed();
    // The first one tells, the others wait.
    assert!(problem.contains("the storage failed") && problem.contains("1 archives wait"), "{problem}");
    assert_eq!((retention.audit_rows(acme, 5), retention.audit_rows(zeta, 5)), (4, 3));
    fs::remove_file(retention.storage.join("archives")).unwrap();
    retention.run().done();
    holds(&retention, acme, 5, 4, 12);
    holds(&retention, zeta, 5, 3, 12);
}

#[test]
fn an_archive_that_is_gone_or_out_of_date_is_made_again_before_its_rows_go() {
    let (retention, acme) = acme_with(4);
    // Archived and not dropped: somebody reads the month.
    let archive_only = || {
        let mut reader = retention.database.superuser();
        let mut reading = reader.transaction().unwrap();
        reading.query("select count(*) from nebula.audit_log", &[]).unwrap();
        let problem = retention.run().failed();
        assert!(problem.contains("55P03"), "{problem}");
    };
    archive_only();
    holds(&retention, acme, 5, 4, 12);
    fs::remove_file(retention.archive(acme, 5).join("rows.ndjson.gz")).unwrap();
    assert!(retention.run_without_storage().failed().contains("1 archives wait"));
    assert_eq!(retention.audit_rows(acme, 5), 4);
    archive_only();
    holds(&retention, acme, 5, 4, 12);
    // Two more rows of that month: the archive of four is not enough.
    let more = "insert into nebula.audit_log (tenant_id, actor_type, action, entity_type, metadata, created_at) \
                select tenant_id, actor_type, action, entity_type, jsonb_set(metadata, '{number}', to_jsonb((metadata ->> 'number')::integer + 4)), created_at + interval '1 day' \
                from nebula.audit_log where tenant_id = $1 and action = 'old.thing' and (metadata ->> 'number')::integer <= 2";
    retention.database.superuser().execute(more, &[&acme]).unwrap();
    let report = retention.run().done();
    assert!(report.contains("archives written: 1 with 6 rows"), "{report}");
    assert_eq!(retention.audit_rows(acme, 5), 0);
    holds(&retention, acme, 5, 6, 12);
}

#[test]
fn rows_that_come_after_their_month_was_dropped_stay_and_its_archive_is_left_alone() {
    let (retention, acme) = acme_with(4);
    let zeta = onboard_by_sql(&retention.database, "zeta").id;
    retention.set_profile(zeta, "enterprise");
    retention.write_audit(zeta, 5, 2);
    retention.run().done();
    let files = retention.files();
    // As many as the archive holds.
    retention.write_audit(acme, 5, 4);
    retention.run().done();
    assert_eq!((retention.audit_rows(acme, 5), retention.audit_rows(zeta, 5)), (4, 2));
    assert_eq!(retention.files(), files);
    // Until the archive would have expired.
    retention.database.execute("update nebula.operational_profile set archive_months = 1 where key = 'standard'");
    retention.run().done();
    assert_eq!((retention.audit_rows(acme, 5), retention.audit_rows(zeta, 5)), (0, 2));
}

#[test]
fn archives_expire_objects_first() {
    let (retention, acme) = acme_with(4);
    retention.run().done();
    assert_eq!(retention.files().len(), 2);
    retention.database.execute("update nebula.archive set expires_at = now()");
    let known = || retention.database.number("select count(*) from nebula.archive", &[]);
    assert!(retention.run_without_storage().failed().contains("archives are expired"));
    assert_eq!((retention.files().len(), known()), (2, 1));
    // One of them is gone already, as after a crash.
    fs::remove_file(retention.archive(acme, 5).join("manifest.json")).unwrap();
    let report = retention.run().done();
    assert!(report.contains("removed: 1"), "{report}");
    assert_eq!((retention.files().len(), known()), (0, 0));
    let told =
        "select count(*) from nebula.audit_log where tenant_id = $1 and action in ('archive.insert', 'archive.update', 'archive.delete')";
    assert!(retention.database.number(told, &[&acme]) >= 3, "the tenant's log tells of its archive");
}

#[test]
fn a_storage_url_that_is_none_is_refused_before_anything_is_done() {
    let (retention, acme) = acme_with(4);
    let problem = retention.run_with(&[("NEBULA_STORAGE_URL", "no url with hunter22")]).failed();
    assert!(problem.contains("storage") && !problem.contains("hunter22"), "{problem}");
    assert_eq!(retention.audit_rows(acme, 5), 4);
}

/// How many lines gzip finds in it.
fn lines(packed: &[u8]) -> usize {
    let mut gzip = Command::new("gzip").arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut input, packed) = (gzip.stdin.take().unwrap(), packed.to_vec());
    let writer = std::thread::spawn(move || input.write_all(&packed));
    let output = gzip.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    output.stdout.iter().filter(|byte| **byte == b'\n').count()
}

#[test]
fn object_storage_that_speaks_s3_takes_an_archive_in_several_parts_and_gives_it_back() {
    let (retention, acme) = acme_with(4);
    let storage = ObjectStorage::start(retention.database.installation);
    // More than one part of 8 MiB when packed.
    let large = "insert into nebula.audit_log (tenant_id, actor_type, action, entity_type, metadata, created_at) \
                 select $1, 'system', 'x', 'x', jsonb_build_object('noise', noise.text), ($2 || '-20 00:00:00+00')::timestamptz + make_interval(secs => n) \
                 from generate_series(1, 20000) n, lateral (select string_agg(md5(n || '/' || part), '') as text from generate_series(1, 30) part) noise";
    retention.database.superuser().execute(large, &[&acme, &retention.month(5)]).unwrap();
    let folder = format!("some/prefix/archives/{acme}/audit_log/{}", retention.month(5));
    let bucket = |name: &str| format!("s3://{name}/some/prefix");

    let problem = retention.run_with(&storage.settings(&bucket("no-such-bucket"))).failed();
    assert!(problem.contains("there is no such object") || problem.contains("the storage failed"), "{problem}");
    assert!(!problem.contains("canary"), "{problem}");
    assert_eq!(retention.audit_rows(acme, 5), 20_004);

    retention.run_with(&storage.settings(&bucket(ObjectStorage::BUCKET))).done();
    assert_eq!(retention.audit_rows(acme, 5), 0);
    let rows = storage.get(&format!("{folder}/rows.ndjson.gz")).expect("the rows are there");
    assert!(rows.len() > 8 << 20, "{} bytes are one part", rows.len());
    assert_eq!(lines(&rows), 20_004);
    let manifest: Value = serde_json::from_slice(&storage.get(&format!("{folder}/manifest.json")).unwrap()).unwrap();
    assert_eq!((&manifest["rowCount"], &manifest["sha256"]), (&json!(20_004), &json!(hex::encode(&Sha256::digest(&rows)))));

    retention.database.execute("update nebula.archive set expires_at = now()");
    let report = retention.run_with(&storage.settings(&bucket(ObjectStorage::BUCKET))).done();
    assert!(report.contains("removed: 1"), "{report}");
    assert!(storage.get(&format!("{folder}/rows.ndjson.gz")).is_none() && storage.get(&format!("{folder}/manifest.json")).is_none());
}
