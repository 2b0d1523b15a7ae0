//! B15. The threat: whoever has a dump after people asked to be forgotten, and a dictionary of addresses to try. Thirty people leave canaries through every field that takes
//! text about them; then they are anonymised. Nothing of them stands in a dump, in five encodings, nor any digest that one of 100,000 guesses would match; and
//! history keeps its rows. (`asynchronous::privacy` plants one person by all surfaces, other issuers, events and deliveries included.)

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA512, digest};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use nebula_tests::{
    Battery, Caller, Database, battery,
    http::id,
    onboard,
    story::{PASSWORD, accept},
    traces::{ENCODINGS, Haystack},
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

const PEOPLE: usize = 30;

/// What one person leaves behind.
struct Person {
    id: Uuid,
    canaries: Vec<String>,
}

fn address(person: usize, which: &str) -> String {
    format!("pessoa{person}.{which}@canary{person}.example")
}

#[test]
fn of_thirty_people_nothing_is_left_that_could_be_read_or_guessed() {
    let database = Database::new();
    let edge = database.serve_with(&[("NEBULA_TRUSTED_PROXIES", "127.0.0.0/8")]);
    let acme = onboard(&edge, "acme");
    let mut battery = Battery::begin("B15 traces", &database);
    let group = acme.group("G", &["me.update", "users.list"]);
    let people = (0..PEOPLE)
        .map(|n| {
            let [first, second, third] = ["Um", "dois", "tres"].map(|which| address(n, which));
            let [name, other, third_name, own] =
                ["Nome", "Outro", "Terceiro", "Próprio"].map(|word| format!("{word} \"Canário\" Pessoa{n}ção"));
            let [reason, second_reason] = ["férias", "saída"].map(|word| format!("{word} da pessoa{n} canário"));
            let [ip, second_ip, third_ip] = [1, 2, 3].map(|place| format!("198.18.{place}{}.{}", n % 10, 100 + n));
            let [agent, second_agent] = ["Navegador", "Telefone"].map(|word| format!("{word}Pessoa{n}/1.0"));
            let person = id(&acme
                .admin
                .request("POST", "/v1/users")
                .key(&format!("person-{n}"))
                .json(&json!({ "email": first, "name": name }))
                .send()
                .data(201));
            let path = format!("/v1/users/{person}");
            for change in [json!({ "email": second, "name": other }), json!({ "email": third, "name": third_name })] {
                acme.admin.patch(&path, &change).data(200);
            }
            acme.admin.post(&format!("/v1/groups/{group}/users/{person}"), &json!({})).data(201);
            for (status, why) in [("suspenso", Some(&reason)), ("ativo", None), ("suspenso", Some(&second_reason)), ("ativo", None)] {
                acme.admin.patch(&format!("{path}/status"), &json!({ "status": status, "suspendedReason": why })).data(200);
            }
            if n % 5 == 0 {
                let invite = acme.admin.post(&format!("{path}/invite"), &json!({})).data(201);
                let (session, _) = accept(&edge, "acme", &third, invite["token"].as_str().unwrap());
                let at = |method: &str, place: &str, ip: &str, agent: &str, body: &Value| {
                    session.request(method, place).header("x-forwarded-for", ip).header("user-agent", agent).json(body).send().status
                };
                assert_eq!(at("PATCH", "/v1/me", &ip, &agent, &json!({ "name": own })), 200);
                at("POST", "/v1/users", &second_ip, &second_agent, &json!({ "email": "x@acme.example", "name": "X" }));
                let wrong = json!({ "tenant": "acme", "email": third, "password": format!("{PASSWORD}!") });
                edge.anonymous().request("POST", "/v1/auth/login").header("x-forwarded-for", &third_ip).json(&wrong).send();
                Person {
                    id: person,
                    canaries: vec![
                        first,
                        second,
                        third,
                        name,
                        other,
                        third_name,
                        own,
                        reason,
                        second_reason,
                        ip,
                        second_ip,
                        third_ip,
                        agent,
                        second_agent,
                    ],
                }
            } else {
                Person { id: person, canaries: vec![first, second, third, name, other, third_name, reason, second_reason] }
            }
        })
        .collect::<Vec<_>>();
    let planted = Haystack::new(database.dump());
    let first = &people[0].canaries;
    // Addresses of unsuccessful guesses are stored as digests, if at all.
    let missing = first.iter().filter(|canary| planted.encodings_of(canary).is_empty()).collect::<Vec<_>>();
    assert!(missing.len() <= 6, "not planted, so that their absence would prove nothing: {missing:?}");
    let history = "select count(*) from nebula.audit_log where tenant_id = $1";
    let before = database.number(history, &[&acme.id]);
    for person in &people {
        acme.admin.delete(&format!("/v1/users/{}", person.id)).empty();
    }
    let dump = database.dump();
    let hay = Haystack::new(dump.clone());
    for person in &people {
        for canary in &person.canaries {
            let found = hay.encodings_of(canary);
            for encoding in ENCODINGS {
                battery.case(!found.contains(&encoding), || format!("{canary} as {encoding}: {:?}", hay.lines_with(canary).first()));
            }
        }
        let entries = database.number("select count(*) from nebula.audit_log where entity_id = $1", &[&person.id]);
        battery.case(entries >= 8, || format!("history of {}: {entries}", person.id));
    }
    battery.case(database.number(history, &[&acme.id]) >= before + PEOPLE as i64, || "history has become shorter".to_owned());
    // Every digest that stands in the dump, and every guess.
    let stored = words(&dump);
    assert!(stored.len() > 500, "{}", stored.len());
    let guesses = (0..battery::scaled(20_000, 100_000)).map(|n| format!("user{n}@acme.example"));
    let known = (0..PEOPLE).flat_map(|n| ["Um", "dois", "tres"].map(|which| address(n, which)));
    for guess in guesses.chain(known) {
        let found = digests(&guess).into_iter().find(|text| stored.contains(text));
        battery.case(found.is_none(), || format!("{guess} is told by {found:?}"));
    }
    battery.end(20_000, &[("the edge's", edge.log())]);
}

/// Everything of a dump that could be a digest.
fn words(dump: &str) -> BTreeSet<String> {
    dump.split(|c: char| !(c.is_ascii_alphanumeric() || "+/_-".contains(c)))
        .filter(|word| word.len() >= 20)
        .map(|word| word.trim_start_matches('x').to_owned())
        .collect()
}

/// What a guess would look like: as it is written and in lower case, by itself and with what belongs to it, hashed in the usual ways.
fn digests(guess: &str) -> Vec<String> {
    let mut texts = vec![guess.to_owned(), guess.to_lowercase(), format!("acme:{guess}"), format!("acme/{guess}")];
    texts.dedup();
    let mut all = Vec::new();
    for text in texts {
        for algorithm in [&SHA1_FOR_LEGACY_USE_ONLY, &SHA256, &SHA512] {
            let bytes = digest(algorithm, text.as_bytes());
            let bytes = bytes.as_ref();
            all.push(bytes.iter().map(|byte| format!("{byte:02x}")).collect());
            all.push(STANDARD_NO_PAD.encode(bytes));
            all.push(URL_SAFE_NO_PAD.encode(bytes));
        }
    }
    all
}
