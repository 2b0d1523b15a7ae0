//! Operations on their way out say so on every answer. No operation of the product is: this is shown on one that tests switch on.

use nebula_tests::{Caller, Database, http::Answer, onboard};

const PATH: &str = "/v1/test/deprecated";

fn says_so(answer: &Answer) {
    assert_eq!(answer.header("deprecation"), Some("@1767225600"));
    assert_eq!(answer.header("sunset"), Some("Fri, 01 Jan 2027 00:00:00 GMT"));
}

#[test]
fn a_deprecated_operation_says_since_when_and_until_when_on_success_and_on_refusal() {
    let database = Database::new();
    database.execute(&format!("alter database {} set nebula.test_operations = on", database.name));
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let done = acme.admin.get(PATH);
    done.data(200);
    says_so(&done);
    // Refused by the edge, and by the database.
    let unauthorized = edge.anonymous().get(PATH);
    unauthorized.refused(401, "UNAUTHORIZED");
    says_so(&unauthorized);
    let invalid = acme.admin.get(&format!("{PATH}?unexpected=1"));
    invalid.invalid("unexpected", "unknown");
    says_so(&invalid);
    let other = acme.admin.get("/v1/me");
    other.data(200);
    assert_eq!((other.header("deprecation"), other.header("sunset")), (None, None));
    let document = edge.anonymous().get("/v1/openapi.json").json();
    assert_eq!(document["paths"][PATH]["get"]["deprecated"], true);
    assert!(document["paths"]["/v1/me"]["get"]["deprecated"].is_null());
}

#[test]
fn operations_for_tests_are_a_superusers_to_switch_on() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    acme.admin.get(PATH).refused(404, "NOT_FOUND");
    let mut handle = database.handle();
    handle.client.batch_execute("select nebula.readiness()").unwrap();
    let refused = handle.client.batch_execute("set nebula.test_operations = on").unwrap_err();
    assert!(
        refused.to_string().contains("permission denied") || refused.as_db_error().is_some_and(|error| error.code().code() == "42501"),
        "{refused:?}"
    );
}
