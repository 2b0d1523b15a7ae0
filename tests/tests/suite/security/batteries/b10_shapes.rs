//! B10, the shapes. The threat: JSON of a shape that nobody thought of, in any operation: a name twice, a part elsewhere, nesting, members and items too many, and several of
//! these at once, in the request itself as in its input. Where `b10_bad_input` puts each odd value in each field, this changes the whole of what an operation takes,
//! as its schema says, at random: `nebula.handle`'s own parsers are linked with Postgres, so that no fuzzing engine can call them (docs/decisions/0037-fuzzing.md).
//!
//! `NEBULA_FUZZ_SEED` starts another sequence; the one of a failure is told with it.

use super::b10_bad_input::{Scene, public_input, tell};
use nebula_tests::{
    Battery, Route, World, battery, fields,
    handle::request,
    mutation::{Draw, Node, asked_for},
};
use serde_json::{Value, json};

#[test]
fn no_shape_of_an_input_makes_the_database_fail() {
    let scene = Scene::new();
    let mut battery = Battery::begin("B10 shapes, database", &scene.database);
    let seed = std::env::var("NEBULA_FUZZ_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_122);
    let mut draw = Draw(seed);
    let mut handle = scene.database.handle();
    let before = scene.database.digests();
    let mut accepted = 0;
    for route in &scene.routes {
        let world = scene.world_of(route);
        for turn in 0..battery::scaled(200, 3_000) {
            let (message, how) = message(&scene, route, world, &mut draw);
            let (outcome, is_connected) = tell(&mut handle, world, &message);
            let holds = match &outcome {
                Ok((status, body)) => {
                    accepted += usize::from(*status < 300);
                    *status < 500 && (*status < 400 || body["error"]["code"].is_string())
                }
                // What is no JSON of Postgres', or too deep for it, doesn't become the function's argument.
                Err(state) => state.starts_with("22") || state == "54001",
            };
            battery.case(holds && is_connected, || {
                format!("seed {seed}, {} {turn}, {}: {outcome:?}: {message:.2000}", route.operation, how.join(", "))
            });
            if !is_connected {
                handle = scene.database.handle();
            }
        }
    }
    println!("B10 shapes, seed {seed}: {accepted} accepted");
    assert!(accepted * 100 >= battery.cases(), "{accepted} of {} were accepted: what is changed is hardly looked at", battery.cases());
    assert_eq!(scene.database.digests(), before);
    battery.end(15_000, &[]);
}

/// A request to this operation, changed; and how.
fn message(scene: &Scene, route: &Route, world: &World, draw: &mut Draw) -> (String, Vec<&'static str>) {
    let is_public = route.scope == "public";
    let mut input = if is_public { public_input(world, &route.operation, true) } else { world.input(&route.operation) };
    let mut how = Vec::new();
    // What may be left out and is, or stands there otherwise, as the document asks for it.
    let places = fields(&scene.document, route);
    for _ in 0..draw.below(3).min(places.len()) {
        let place = draw.one(&places);
        if place.part != "path" {
            input = place.set(&input, &asked_for(&place.schema, draw));
            how.push("as the schema asks");
        }
    }
    let credential = (!is_public).then_some(world.founder.credential.as_str());
    let mut message = request(&route.operation, credential, &json!({}));
    let members = message.as_object_mut().unwrap();
    members.remove("query");
    members.remove("body");
    let part = if route.takes_body() { "body" } else { "query" };
    let mut node = Node::from(&input);
    let is_whole = draw.below(8) == 0;
    for _ in 0..draw.below(4) {
        how.push(node.change(draw));
    }
    let mut whole = Node::from(&Value::Object(members.clone()));
    if let Node::Object(members) = &mut whole {
        members.push((format!("\"{part}\""), node));
    }
    if is_whole {
        how.push("the request itself:");
        how.push(whole.change(draw));
    }
    (whole.write(), how)
}
