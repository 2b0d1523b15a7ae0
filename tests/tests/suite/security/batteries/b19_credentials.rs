//! B19. The threat: whoever can write to the tables, or has the edge's login, and moves what is sealed to where it would be opened for them: to another row, another
//! tenant, another field, another version of the keys, cut, lengthened, changed in any byte. Nothing opens but what was sealed there. (Rotation while requests run is
//! `asynchronous::reseal`.)

use nebula_edge::worker::credentials::{Credentials, KeySource, Which};
use nebula_tests::{Battery, Caller, Database, battery, http::id, onboard};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tokio::runtime::Runtime;
use uuid::Uuid;

const PATH: &str = "/v1/integrations/credentials";

/// A sealed value as it lies in its row.
#[derive(Clone, PartialEq)]
struct Sealed {
    from: String,
    bytes: Vec<u8>,
    version: i32,
}

#[test]
fn nothing_that_was_moved_or_changed_opens() {
    let database = Database::new();
    let edge = database.serve();
    let (acme, zeta) = (onboard(&edge, "acme"), onboard(&edge, "zeta"));
    let mut battery = Battery::begin("B19 ciphertext", &database);
    let mut rows: BTreeMap<Uuid, (Uuid, Value)> = BTreeMap::new();
    for tenant in [&acme, &zeta] {
        for name in ["um", "dois", "três"] {
            let data = json!({ "of": tenant.slug, "name": name });
            let made = tenant.admin.post(PATH, &json!({ "provider": "stripe", "name": name, "data": data })).data(201);
            rows.insert(id(&made), (tenant.id, data));
        }
        let hook =
            tenant.admin.post("/v1/webhooks", &json!({ "url": format!("https://hooks.{}.com/a", tenant.slug), "events": ["*"] })).data(201);
        tenant.admin.post(&format!("/v1/webhooks/{}/rotate-secret", id(&hook)), &json!({})).data(200);
    }
    let mut superuser = database.superuser();
    let sealed = superuser
        .query(
            "select 'credential ' || id, data_encrypted, key_version from nebula.integration_credential \
             union all select 'webhook ' || id, secret_sealed, secret_key_version from nebula.webhook_subscription \
             union all select 'previous of webhook ' || id, previous_secret_sealed, previous_secret_key_version from nebula.webhook_subscription",
            &[],
        )
        .unwrap()
        .iter()
        .map(|row| Sealed { from: row.get(0), bytes: row.get(1), version: row.get(2) })
        .collect::<Vec<_>>();
    assert_eq!(sealed.len(), 10);
    let runtime = Runtime::new().unwrap();
    let keys = KeySource::Folder(database.installation.keys_dir.clone());
    let credentials = runtime.block_on(Credentials::connect(&database.url("nebula_worker"), keys, "battery")).unwrap();
    let mut open = |row: &Uuid, tenant: &Uuid, value: &Sealed| -> Option<Value> {
        let set = "update nebula.integration_credential set data_encrypted = $2, key_version = $3 where id = $1";
        // What no constraint lets stand there opens nothing either.
        superuser.execute(set, &[row, &value.bytes, &value.version]).ok()?;
        let opened = runtime.block_on(credentials.reveal(*tenant, Which::Id(*row), "a battery"));
        opened.ok().map(|plain| serde_json::from_slice(&plain).unwrap_or(json!("opened")))
    };
    for (row, (tenant, data)) in &rows {
        let own = sealed.iter().find(|value| value.from == format!("credential {row}")).unwrap().clone();
        let mut tries = Vec::new();
        for value in sealed.iter().filter(|value| value.from != own.from) {
            tries.push(value.clone());
        }
        for version in [0, 2, 7, 65_535, i32::MAX, -1] {
            tries.push(Sealed { from: format!("version {version}"), version, ..own.clone() });
        }
        for at in (0..own.bytes.len()).step_by(battery::scaled(5, 1)) {
            for bit in [1, 128] {
                let mut bytes = own.bytes.clone();
                bytes[at] ^= bit;
                tries.push(Sealed { from: format!("byte {at} changed"), bytes, ..own.clone() });
            }
            tries.push(Sealed { from: format!("cut to {at}"), bytes: own.bytes[..at].to_vec(), ..own.clone() });
        }
        for (what, bytes) in [
            ("a byte more", [&own.bytes[..], &[0]].concat()),
            ("a byte before", [&[0], &own.bytes[..]].concat()),
            ("twice", [&own.bytes[..], &own.bytes[..]].concat()),
            ("reversed", own.bytes.iter().rev().copied().collect()),
            // The nonce of one with the text of another.
            ("a nonce of another", [&sealed[0].bytes[..12], &own.bytes[12..]].concat()),
            ("a tag of another", [&own.bytes[..own.bytes.len() - 16], &sealed[1].bytes[sealed[1].bytes.len() - 16..]].concat()),
        ] {
            if bytes != own.bytes {
                tries.push(Sealed { from: what.to_owned(), bytes, ..own.clone() });
            }
        }
        for value in &tries {
            let opened = open(row, tenant, value);
            battery.case(opened.is_none(), || format!("{} in the place of {row}: {opened:?}", value.from));
        }
        // The other tenant asks for it, with everything where it belongs.
        let theirs = if *tenant == acme.id { zeta.id } else { acme.id };
        let opened = open(row, &theirs, &own);
        battery.case(opened.is_none(), || format!("{row} for the other tenant: {opened:?}"));
        let opened = open(row, tenant, &own);
        battery.case(opened.as_ref() == Some(data), || format!("the control, {row}: {opened:?}"));
    }
    for (_, data) in rows.values() {
        battery.canary(&data.to_string());
    }
    battery.end(300, &[("the edge's", edge.log())]);
}
