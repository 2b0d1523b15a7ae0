//! B13: whoever holds the database, as a superuser, changes what the audit log says. Each is found, and the first bad row named. The attacker has everything but
//! the key and what was kept outside: they turn triggers off, write any table, and run any program.
//!
//! 1. change a column, each of the twelve
//! 2. delete a row
//! 3. delete the newest rows with their seals
//! 4. insert a row among others
//! 5. insert one into a month that has none
//! 6. swap what two rows say
//! 7. give a row to another tenant
//! 8. move a row to another month
//! 9. set everything back to an older copy
//! 10. put a row in again at another time
//! 11. make all seals anew with another key
//! 12. drop a month early, and say that retention did
//! 13. drop or empty the tables of seals
//! 14. truncate
//! 15. detach a partition, edit it, attach it
//! 16. take an address away as if somebody had been anonymised
//! 17. put it back after anonymising
//! 18. take a month out of the middle, with its seals
//! 19. set the watermark back and insert
//! 20. register another key

use nebula_tests::AuditChain;
use serde_json::json;
use std::fs;

#[test]
fn a_change_of_any_column_is_found() {
    let chain = AuditChain::new();
    chain.copy("saved");
    let row = chain.row(chain.acme.id, 1, 5);
    let changes = [
        ("actor_user_id", "nebula.uuid_v7()", "row_changed"),
        ("actor_api_key_id", "nebula.uuid_v7()", "row_changed"),
        ("actor_type", "'user'", "row_changed"),
        ("action", "'old.other'", "row_changed"),
        ("entity_type", "'y'", "row_changed"),
        ("entity_id", "nebula.uuid_v7()", "row_changed"),
        ("metadata", "metadata || '{\"number\": 99}'", "row_changed"),
        ("ip", "'198.51.100.1'", "origin_changed"),
        ("ip", "null", "origin_changed"),
        ("user_agent", "'other'", "origin_changed"),
        ("created_at", "created_at + interval '1 microsecond'", "row_missing"),
        ("id", "nebula.uuid_v7()", "row_missing"),
        ("tenant_id", "nebula.uuid_v7()", "row_missing"),
    ];
    for (column, value, kind) in changes {
        chain.tamper(&format!("update nebula.audit_log set {column} = {value} where id = '{row}'"));
        let verified = chain.verify();
        let first = verified.report["findings"][0].clone();
        assert_eq!(first["position"], 5, "{column}: {first:#}");
        verified.names(kind, row);
        chain.set_back("saved", &["audit_log"]);
    }
    chain.verify().clean();
}

#[test]
fn a_deleted_row_is_found() {
    let chain = AuditChain::new();
    let row = chain.row(chain.acme.id, 2, 3);
    chain.tamper(&format!("delete from nebula.audit_log where id = '{row}'"));
    let verified = chain.verify();
    assert_eq!(verified.report["findings"].as_array().unwrap().len(), 1, "{:#}", verified.report);
    verified.names("row_missing", row);
}

/// Whole, and valid by itself: only what was kept outside tells.
#[test]
fn newest_rows_that_are_cut_off_with_their_seals_are_found_by_the_heads() {
    let chain = AuditChain::new();
    chain.copy("older");
    chain.tamper("insert into nebula.audit_log (tenant_id, actor_type, action, entity_type) select id, 'system', 'new.thing', 'x' from nebula.tenant");
    chain.seal();
    chain.export().unwrap();
    let heads = chain.does(&["audit", "heads"]).unwrap();
    chain.verify().clean();
    chain.set_back("older", &["audit_log", "audit_segment", "audit_block"]);
    let first = chain.verify().first();
    assert_eq!((&first["kind"], &first["month"]), (&json!("set_back"), &json!(chain.retention.month(0))), "{first:#}");
    // Neither does an export paper over it, nor one more round of sealing.
    let refused = chain.export().unwrap_err();
    assert!(refused.contains("the database lacks seals that were exported"), "{refused}");
    chain.seal();
    assert!(chain.verify().kinds().contains(&"set_back".to_owned()));
    // The same against a file that somebody kept.
    fs::remove_dir_all(chain.retention.storage.join("audit")).unwrap();
    let file = chain.retention.storage.join("kept.ndjson");
    fs::write(&file, heads).unwrap();
    assert!(chain.verify_with(&["--heads", &file.display().to_string()]).kinds().contains(&"set_back".to_owned()));
}

#[test]
fn a_row_that_is_inserted_among_others_is_found() {
    let chain = AuditChain::new();
    let before = chain.row(chain.acme.id, 1, 4);
    let row = uuid::Uuid::now_v7();
    chain.tamper(&format!(
        "insert into nebula.audit_log (id, tenant_id, actor_type, action, entity_type, created_at) \
         select '{row}', tenant_id, actor_type, action, entity_type, created_at + interval '1 microsecond' from nebula.audit_log where id = '{before}'"
    ));
    chain.verify().names("row_inserted", row);
    // And it is never sealed.
    chain.seal();
    chain.verify().names("row_inserted", row);
}

#[test]
fn a_row_that_is_inserted_into_a_month_without_any_is_found() {
    let chain = AuditChain::new();
    let row = uuid::Uuid::now_v7();
    chain.tamper(&format!(
        "insert into nebula.audit_log (id, tenant_id, actor_type, action, entity_type, created_at) \
         values ('{row}', '{}', 'system', 'old.thing', 'x', '2020-01-01')",
        chain.acme.id
    ));
    chain.verify().names("row_inserted", row);
}

#[test]
fn two_rows_that_were_swapped_are_found() {
    let chain = AuditChain::new();
    let [one, other] = [2, 3].map(|place| chain.row(chain.acme.id, 1, place));
    chain.tamper(&format!(
        "update nebula.audit_log r set action = o.action || '', metadata = o.metadata from nebula.audit_log o \
         where (r.id, o.id) in (('{one}', '{other}'), ('{other}', '{one}'))"
    ));
    chain.verify().names("row_changed", one);
}

#[test]
fn a_row_that_was_given_to_another_tenant_is_found_on_both_sides() {
    let chain = AuditChain::new();
    let row = chain.row(chain.acme.id, 1, 7);
    chain.tamper(&format!("update nebula.audit_log set tenant_id = '{}' where id = '{row}'", chain.zeta.id));
    let verified = chain.verify();
    assert_eq!(verified.kinds().len(), 2, "{:#}", verified.report);
    for (tenant, kind) in [(chain.acme.id, "row_missing"), (chain.zeta.id, "row_inserted")] {
        chain.verify_with(&["--tenant", &tenant.to_string()]).names(kind, row);
    }
}

#[test]
fn a_row_that_was_moved_to_another_month_is_found() {
    let chain = AuditChain::new();
    let row = chain.row(chain.acme.id, 1, 7);
    chain.tamper(&format!("update nebula.audit_log set created_at = created_at - interval '20 days' where id = '{row}'"));
    let verified = chain.verify();
    assert_eq!(verified.kinds(), ["row_missing", "row_inserted"], "{:#}", verified.report);
    verified.names("row_missing", row);
}

#[test]
fn a_database_that_was_set_back_whole_is_found_by_the_heads() {
    let chain = AuditChain::new();
    chain.copy("older");
    chain.tamper("insert into nebula.audit_log (tenant_id, actor_type, action, entity_type) select id, 'system', 'new.thing', 'x' from nebula.tenant");
    chain.seal();
    chain.export().unwrap();
    chain.set_back("older", &["audit_log", "audit_segment", "audit_block", "audit_erasure", "audit_watermark"]);
    let kinds = chain.verify().kinds();
    assert!(kinds.contains(&"set_back".to_owned()) && kinds.contains(&"watermark".to_owned()), "{kinds:?}");
    chain.export().unwrap_err();
    // Where it was meant, a person says so.
    chain.does(&["audit", "heads", "--replace"]).unwrap();
    chain.seal();
    chain.verify().clean();
}

#[test]
fn a_row_that_was_put_in_again_is_found() {
    let chain = AuditChain::new();
    let row = chain.row(chain.acme.id, 1, 2);
    chain.tamper(&format!(
        "insert into nebula.audit_log select id, tenant_id, actor_user_id, actor_api_key_id, actor_type, action, entity_type, entity_id, metadata, ip, user_agent, \
         created_at + interval '3 days' from nebula.audit_log where id = '{row}'"
    ));
    chain.verify().names("row_inserted", row);
}

#[test]
fn seals_that_were_made_anew_with_another_key_are_found() {
    let chain = AuditChain::new();
    let row = chain.row(chain.acme.id, 1, 2);
    let forged = chain.database().own_keys_named("forged");
    fs::write(forged.join("audit-1.key"), "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n").unwrap();
    chain.tamper(&format!(
        "update nebula.audit_log set action = 'forged' where id = '{row}'; \
         truncate nebula.audit_block, nebula.audit_segment, nebula.audit_watermark; delete from nebula.audit_key"
    ));
    for command in [&["key", "audit", "register"][..], &["audit", "seal"]] {
        let output = chain.nebula_of(chain.database(), &forged, command);
        assert!(output.status.success(), "{output:?}");
    }
    let verified = chain.verify();
    let kinds = verified.kinds();
    assert_eq!(kinds[..2], ["key_registration", "watermark"], "{:#}", verified.report);
    let first =
        verified.report["findings"].as_array().unwrap().iter().find(|finding| finding["tenant"] == json!(chain.acme.id)).unwrap().clone();
    assert_eq!((&first["kind"], &first["position"]), (&json!("row_changed"), &json!(1)), "{first:#}");
    // The registration put back, the seals are still another key's.
    chain.copy("forgery");
    chain.database().execute("delete from nebula.audit_key");
    chain.does(&["key", "audit", "register"]).unwrap();
    let kinds = chain.verify().kinds();
    assert!(kinds[0] == "watermark" && kinds.contains(&"row_changed".to_owned()), "{kinds:?}");
}

#[test]
fn digests_that_were_replaced_without_the_key_are_found() {
    let chain = AuditChain::new();
    let row = chain.row(chain.acme.id, 1, 2);
    let block = "(select id from nebula.audit_block where tenant_id = (select tenant_id from nebula.audit_log where id = $$) and $$ = any (row_ids))";
    let block = block.replace("$$", &format!("'{row}'"));
    chain.copy("saved");
    chain.tamper(&format!("update nebula.audit_block set digests = overlay(digests placing sha256('x') from 33) where id = {block}"));
    chain.verify().names("row_changed", row);
    chain.set_back("saved", &["audit_block"]);
    // What only the block's seal covers.
    for change in ["sealed_at = sealed_at + interval '1 second'", "mac = sha256('x')", "previous = sha256('x')"] {
        chain.tamper(&format!("update nebula.audit_block set {change} where id = {block}"));
        chain.verify().names("block_seal", chain.row(chain.acme.id, 1, 1));
        chain.set_back("saved", &["audit_block"]);
    }
    chain.tamper(&format!("update nebula.audit_segment set row_count = row_count + 1 where tenant_id = '{}'", chain.acme.id));
    assert!(chain.verify().kinds().contains(&"block_missing".to_owned()));
}

#[test]
fn a_month_that_was_dropped_before_its_time_is_found_also_where_it_says_that_retention_did_it() {
    let chain = AuditChain::new();
    let row = chain.row(chain.acme.id, 1, 1);
    let partition = format!("audit_log_{}", chain.retention.month(1).replace('-', "_"));
    chain.tamper(&format!("drop table nebula.{partition}"));
    chain.verify().names("row_missing", row);
    let month = format!("{}-01", chain.retention.month(1));
    chain.tamper(&format!(
        "update nebula.audit_segment set dropped_at = now() where month = '{month}'; delete from nebula.audit_block where month = '{month}'"
    ));
    let first = chain.verify().first();
    assert_eq!((&first["kind"], &first["month"]), (&json!("dropped_early"), &json!(chain.retention.month(1))), "{first:#}");
    let refused = chain.try_seal().unwrap_err();
    assert!(refused.contains("marked as dropped, and its profile keeps it"), "{refused}");
    chain.verify().first();
    // A seal of their own is none.
    chain.tamper(&format!("update nebula.audit_segment set drop_mac = mac, drop_key_version = 1 where month = '{month}'"));
    assert_eq!(chain.verify().first()["kind"], "dropped_early");
}

#[test]
fn tables_of_seals_that_were_dropped_or_emptied_are_found() {
    let chain = AuditChain::new();
    chain.tamper("truncate nebula.audit_block, nebula.audit_segment, nebula.audit_watermark, nebula.audit_erasure");
    let kinds = chain.verify().kinds();
    assert!(kinds.contains(&"set_back".to_owned()) && kinds.contains(&"watermark".to_owned()), "{kinds:?}");
    // Without what was kept outside, as long as nobody has sealed anew.
    fs::remove_dir_all(chain.retention.storage.join("audit")).unwrap();
    let kinds = chain.verify().kinds();
    assert!(!kinds.is_empty() && kinds.iter().all(|kind| kind == "unsealed"), "{kinds:?}");
    chain.tamper("drop table nebula.audit_block");
    assert_eq!(chain.verify().first()["kind"], "table_missing");
}

#[test]
fn a_truncated_log_is_found() {
    let chain = AuditChain::new();
    let row = chain.row(chain.acme.id, 2, 1);
    let partitions = "select string_agg(inhrelid::regclass::text, ', ') from pg_inherits where inhparent = 'nebula.audit_log'::regclass";
    let partitions = chain.database().text(partitions, &[]);
    let each = partitions.split(", ").map(|partition| format!("alter table {partition} disable trigger user;")).collect::<String>();
    chain.tamper(&format!("{each} truncate nebula.audit_log"));
    let verified = chain.verify_with(&["--tenant", "acme"]);
    assert!(verified.kinds().iter().all(|kind| kind == "row_missing"), "{:#}", verified.report);
    verified.names("row_missing", row);
}

#[test]
fn a_partition_that_was_detached_edited_and_attached_is_found() {
    let chain = AuditChain::new();
    let row = chain.row(chain.zeta.id, 1, 9);
    let (month, next) = (chain.retention.month(1), chain.retention.month(0));
    let partition = format!("nebula.audit_log_{}", month.replace('-', "_"));
    chain.tamper(&format!(
        "alter table nebula.audit_log detach partition {partition}; alter table {partition} disable trigger user; \
         update {partition} set metadata = '{{}}' where id = '{row}'; alter table {partition} enable trigger user; \
         alter table nebula.audit_log attach partition {partition} for values from ('{month}-01 00:00:00+00') to ('{next}-01 00:00:00+00')"
    ));
    chain.verify().names("row_changed", row);
}

#[test]
fn an_address_that_was_taken_away_as_if_somebody_had_been_anonymised_is_found() {
    let chain = AuditChain::new();
    let (acme, row) = (chain.acme.id, chain.row(chain.acme.id, 1, 6));
    chain.tamper(&format!("update nebula.audit_log set ip = null, user_agent = null where id = '{row}'"));
    chain.verify().names("origin_changed", row);
    // With everything that anonymising writes, of somebody who is still there.
    chain.tamper(&format!(
        "insert into nebula.audit_erasure (tenant_id, id, row_created_at, user_id) \
         select '{acme}', '{row}', created_at, (select id from nebula.user where tenant_id = '{acme}' limit 1) from nebula.audit_log where id = '{row}'; \
         select nebula.blank_audit_origins('{acme}')"
    ));
    chain.verify().names("origin_changed", row);
    let refused = chain.try_seal().unwrap_err();
    assert!(refused.contains("a person's who was not anonymised then"), "{refused}");
    chain.tamper("update nebula.audit_erasure set mac = sha256('x'), key_version = 1");
    chain.verify().names("origin_changed", row);
}

#[test]
fn an_address_that_is_put_back_after_anonymising_is_found() {
    let chain = AuditChain::new();
    let mut handle = chain.database().handle();
    let bia = chain.acme.does(&mut handle, "users.create", &json!({ "email": "bia@acme.example", "name": "Bia" }), 201);
    let bia = bia["id"].as_str().unwrap();
    chain.tamper(&format!(
        "update nebula.audit_log set actor_user_id = null where false; \
         insert into nebula.audit_log (tenant_id, actor_user_id, actor_type, action, entity_type, ip) values ('{}', '{bia}', 'user', 'users.list', 'x', '203.0.113.9')",
        chain.acme.id
    ));
    chain.seal();
    chain.acme.does(&mut handle, "users.anonymize", &json!({ "id": bia }), 204);
    chain.seal();
    chain.verify().clean();
    let row: uuid::Uuid = chain.database().superuser().query_one("select id from nebula.audit_erasure", &[]).unwrap().get(0);
    chain.tamper(&format!("update nebula.audit_log set ip = '203.0.113.9' where id = '{row}'"));
    chain.verify().names("origin_changed", row);
}

#[test]
fn a_month_that_was_taken_out_of_the_middle_with_its_seals_is_found() {
    let chain = AuditChain::new();
    let month = chain.retention.month(1);
    chain.tamper(&format!(
        "delete from nebula.audit_log where tenant_id = '{acme}' and to_char(created_at at time zone 'utc', 'YYYY-MM') = '{month}'; \
         delete from nebula.audit_block where tenant_id = '{acme}' and month = '{month}-01'; \
         delete from nebula.audit_segment where tenant_id = '{acme}' and month = '{month}-01'",
        acme = chain.acme.id
    ));
    assert_eq!(chain.verify().first()["kind"], "segment_missing");
    // Numbered anew, to close the gap.
    chain.tamper(&format!("update nebula.audit_segment set number = 2 where tenant_id = '{}' and number = 3", chain.acme.id));
    let kinds = chain.verify().kinds();
    assert!(kinds.contains(&"segment_link".to_owned()) && kinds.contains(&"segment_seal".to_owned()), "{kinds:?}");
}

#[test]
fn a_watermark_that_was_set_back_is_found() {
    let chain = AuditChain::new();
    chain.tamper("update nebula.audit_watermark set complete_before = '2020-01-01'");
    assert_eq!(chain.verify().first()["kind"], "watermark");
    let refused = chain.try_seal().unwrap_err();
    assert!(refused.contains("the watermark has another seal than ours"), "{refused}");
    chain.tamper("delete from nebula.audit_watermark");
    assert_eq!(chain.verify().first()["kind"], "watermark");
}

#[test]
fn another_key_that_was_registered_is_found_and_nothing_is_sealed_with_it() {
    let chain = AuditChain::new();
    chain.tamper("update nebula.audit_key set fingerprint = sha256('x')");
    assert_eq!(chain.verify().first()["kind"], "key_registration");
    let refused = chain.try_seal().unwrap_err();
    assert!(refused.contains("version 1 is registered as another key"), "{refused}");
    chain.tamper("delete from nebula.audit_key");
    assert_eq!(chain.verify().first()["kind"], "key_registration");
}
