//! B6: whoever gives an address that is not theirs, or answers as nobody should. Events reach the webhooks that want them, signed, recorded, and nobody else.

use nebula_tests::{
    Behaviour, Caller, Database, Edge, Jose, Received, Receiver, Tenant, User, Worker, eventually, http::id, onboard,
    standard_webhooks::verifies,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs,
    net::TcpListener,
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};
use uuid::Uuid;

/// Loopback addresses are allowed here and in the worker.
const ALLOWED: (&str, &str) = ("NEBULA_ALLOW_LOOPBACK_WEBHOOKS", "true");

/// A tenant whose first events are done with, and who else is needed to send some.
struct Stage {
    database: Database,
    edge: Edge,
    worker: Worker,
    acme: Tenant<User>,
    receiver: Receiver,
}

impl Stage {
    fn new() -> Self {
        Self::with(&[ALLOWED])
    }

    fn with(settings: &[(&str, &str)]) -> Self {
        let database = Database::new();
        database.allow_loopback_webhooks();
        let edge = database.serve();
        let acme = onboard(&edge, "acme");
        // What fails is tried again in a second, as often as a test may want.
        database.execute("update nebula.operational_profile set retry_seconds = array_fill(1, array[20])");
        let worker = database.work_with(settings);
        database.settle();
        Self { database, edge, worker, acme, receiver: Receiver::start() }
    }

    /// A webhook of acme's for this event: id and secret.
    fn hook(&self, url: &str, event: &str) -> (Uuid, String) {
        hook(&self.acme, url, event)
    }

    /// An event of acme's application.
    fn emit(&self, event: &str) {
        self.database.superuser().execute("select nebula.emit($1, '{}', null, $2)", &[&event, &self.acme.id]).unwrap();
    }

    fn delivery_count(&self) -> i64 {
        self.database.number("select count(*) from nebula.webhook_delivery", &[])
    }

    /// `attempt status error` of each delivery, in order.
    fn deliveries(&self) -> Vec<String> {
        self.database.texts(
            "select concat_ws(' ', attempt, coalesce(status_code::text, '-'), error) from nebula.webhook_delivery order by created_at, attempt",
            &[],
        )
    }

    fn hook_status(&self, hook: Uuid) -> String {
        self.database
            .text("select status || coalesce(': ' || suspended_reason, '') from nebula.webhook_subscription where id = $1", &[&hook])
    }

    #[track_caller]
    fn received(&self, count: usize) -> Vec<Received> {
        eventually(&format!("{count} requests came"), || self.receiver.received().len() >= count);
        self.receiver.received()
    }
}

#[track_caller]
fn hook(tenant: &Tenant<User>, url: &str, event: &str) -> (Uuid, String) {
    let made = tenant.admin.post("/v1/webhooks", &json!({ "url": url, "events": [event] })).data(201);
    (id(&made), made["secret"].as_str().unwrap().to_owned())
}

fn body(received: &Received) -> Value {
    serde_json::from_str(&received.body).unwrap()
}

/// A listener that counts who connects, and says nothing.
fn counting_listener() -> (u16, &'static AtomicUsize) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let count: &'static AtomicUsize = Box::leak(Box::new(AtomicUsize::new(0)));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            count.fetch_add(1, Ordering::SeqCst);
            drop(stream);
        }
    });
    (port, count)
}

#[test]
fn an_event_reaches_its_webhook_and_the_official_packages_verify_it() {
    let (port, count) = counting_listener();
    let proxy = format!("http://127.0.0.1:{port}");
    let stage =
        Stage::with(&[ALLOWED, ("HTTP_PROXY", &proxy), ("HTTPS_PROXY", &proxy), ("ALL_PROXY", &proxy), ("NEBULA_LOG_LEVEL", "debug")]);
    let (hook, secret) = stage.hook(&stage.receiver.url("/hooks/path-token?q=1"), "user.created");
    let user = id(&stage.acme.admin.post("/v1/users", &json!({ "email": "bia@acme.example", "name": "Bia Ímpar" })).data(201));
    let received = &stage.received(1)[0];
    assert_eq!((received.method.as_str(), received.path.as_str()), ("POST", "/hooks/path-token?q=1"));
    assert!(verifies(&secret, received));
    let mut other = received.clone();
    other.body.push(' ');
    assert!(!verifies(&secret, &other), "another text is not what was signed");
    let event = stage.database.text("select id::text from nebula.outbox where type = 'user.created' order by position desc limit 1", &[]);
    let body = body(received);
    assert_eq!(body.as_object().unwrap().keys().collect::<Vec<_>>(), ["createdAt", "data", "id", "tenantId", "type", "version"]);
    assert_eq!(
        (&body["id"], &body["type"], &body["version"], &body["tenantId"], &body["data"]["id"], &body["data"]["name"]),
        (&json!(event), &json!("user.created"), &json!(1), &json!(stage.acme.id), &json!(user), &json!("Bia Ímpar"))
    );
    assert!(body["createdAt"].as_str().unwrap().ends_with('Z'));
    let header = |name: &str| received.headers.get(name).map(String::as_str);
    assert_eq!(header("webhook-id"), Some(event.as_str()));
    assert_eq!(header("content-type"), Some("application/json"));
    assert_eq!(header("host"), Some(stage.receiver.address.to_string().as_str()));
    assert!(header("user-agent").unwrap().starts_with("nebula-webhooks/"));
    assert_eq!(header("webhook-signature").unwrap().split(' ').count(), 1);
    stage.database.settle();
    let deliveries = stage.acme.admin.get(&format!("/v1/webhooks/{hook}/deliveries")).data(200);
    assert_eq!(
        (&deliveries[0]["eventId"], &deliveries[0]["attempt"], &deliveries[0]["statusCode"], &deliveries[0]["error"]),
        (&json!(event), &json!(1), &json!(200), &Value::Null)
    );
    assert_eq!(deliveries.as_array().unwrap().len(), 1);
    assert_eq!(stage.receiver.received().len(), 1);
    assert_eq!(count.load(Ordering::SeqCst), 0, "no proxy of the environment is asked");
    let log = stage.worker.process.log();
    for secret in ["whsec_", secret.trim_start_matches("whsec_"), "path-token", "Bia", "acme.example"] {
        assert!(!log.contains(secret), "{secret} stands in the log");
    }
}

#[test]
fn after_a_rotation_both_secrets_sign_until_the_overlap_is_over() {
    let stage = Stage::new();
    let (hook, first) = stage.hook(&stage.receiver.url("/"), "user.created");
    let rotated = stage.acme.admin.post(&format!("/v1/webhooks/{hook}/rotate-secret"), &json!({})).data(200);
    let second = rotated["secret"].as_str().unwrap();
    stage.acme.person("bia");
    let received = stage.received(1);
    assert_eq!(received[0].headers["webhook-signature"].split(' ').count(), 2);
    assert!(verifies(&first, &received[0]) && verifies(second, &received[0]));
    stage.database.execute("update nebula.webhook_subscription set previous_secret_expires_at = now()");
    stage.acme.person("caio");
    let received = stage.received(2);
    assert_eq!(received[1].headers["webhook-signature"].split(' ').count(), 1);
    assert!(!verifies(&first, &received[1]) && verifies(second, &received[1]));
}

#[test]
fn a_test_goes_to_one_webhook_and_what_was_delivered_is_delivered_again() {
    let stage = Stage::new();
    let (hook, secret) = stage.hook(&stage.receiver.url("/one"), "user.created");
    stage.hook(&stage.receiver.url("/two"), "*");
    let job = stage.acme.admin.post(&format!("/v1/webhooks/{hook}/test"), &json!({})).data(202)["jobId"].take();
    let received = stage.received(1);
    assert_eq!((received[0].path.as_str(), &body(&received[0])["type"]), ("/one", &json!("webhook.test")));
    assert_eq!((&body(&received[0])["id"], &body(&received[0])["data"]), (&job, &json!({ "webhookId": hook })));
    assert!(verifies(&secret, &received[0]));
    stage.database.settle();
    // Both the test and an event may be had again, with the same text.
    stage.acme.person("bia");
    stage.received(3);
    stage.database.settle();
    let deliveries = stage.acme.admin.get(&format!("/v1/webhooks/{hook}/deliveries?sort=created_at:asc")).data(200);
    assert_eq!(deliveries.as_array().unwrap().len(), 2);
    for delivery in deliveries.as_array().unwrap() {
        let before = stage.receiver.received();
        stage.acme.admin.post(&format!("/v1/webhooks/deliveries/{}/redeliver", delivery["id"].as_str().unwrap()), &json!({})).data(202);
        let after = stage.received(before.len() + 1);
        let again = after.last().unwrap();
        let first = before.iter().find(|sent| sent.path == "/one" && body(sent)["id"] == delivery["eventId"]).unwrap();
        assert_eq!((again.path.as_str(), &again.body), ("/one", &first.body));
        stage.database.settle();
        let newest = stage.acme.admin.get(&format!("/v1/webhooks/{hook}/deliveries?limit=1")).data(200);
        assert_eq!(
            (&newest[0]["eventId"], &newest[0]["eventType"], &newest[0]["attempt"]),
            (&delivery["eventId"], &delivery["eventType"], &json!(2))
        );
    }
    assert_eq!(stage.receiver.received().len(), 5, "/two had the event and nothing else");
}

#[test]
fn what_fails_is_tried_again_and_recorded_until_it_succeeds() {
    let stage = Stage::new();
    let (hook, _) = stage.hook(&stage.receiver.url("/"), "user.created");
    stage.receiver.next([Behaviour::status(500), Behaviour::Close, Behaviour::Garbage, Behaviour::EndlessHead]);
    let audited = "select count(*) from nebula.audit_log where entity_type = 'webhook_subscription'";
    let before = stage.database.number(audited, &[]);
    stage.acme.person("bia");
    stage.received(1);
    let failing = "select count(*) from nebula.webhook_subscription where failing_since is not null";
    eventually("it is noted that the webhook fails", || stage.database.number(failing, &[]) == 1);
    let received = stage.received(5);
    stage.database.settle();
    assert_eq!(
        received.iter().map(|sent| (&sent.body, &sent.headers["webhook-id"])).collect::<BTreeSet<_>>().len(),
        1,
        "the same each time"
    );
    assert_eq!(
        stage.deliveries(),
        [
            "1 500 HTTP 500",
            "2 - connection closed before the answer",
            "3 - the answer is not HTTP, or its head is too large",
            "4 - the answer is not HTTP, or its head is too large",
            "5 200"
        ]
    );
    assert_eq!(stage.database.number(failing, &[]), 0, "a success ends it");
    assert_eq!(stage.database.number(audited, &[]), before, "what the product notes is no change by anybody");
    assert_eq!(stage.hook_status(hook), "ativo");
    let job = stage.acme.admin.get("/v1/jobs?type=webhook.delivery").data(200);
    assert_eq!((&job[0]["status"], &job[0]["attempts"]), (&json!("done"), &json!(5)));
}

#[test]
fn after_the_profiles_attempts_a_delivery_is_dead_until_somebody_retries_it() {
    let stage = Stage::new();
    stage.database.execute("update nebula.operational_profile set retry_seconds = '{1}'");
    stage.hook(&stage.receiver.url("/"), "user.created");
    stage.receiver.next([Behaviour::status(500), Behaviour::status(404)]);
    stage.acme.person("bia");
    let jobs = || stage.acme.admin.get("/v1/jobs?type=webhook.delivery").data(200);
    eventually("it is dead", || jobs()[0]["status"] == "dead");
    assert_eq!(jobs()[0]["lastError"], json!("HTTP 404"));
    stage.acme.admin.post(&format!("/v1/jobs/{}/retry", jobs()[0]["id"].as_str().unwrap()), &json!({})).data(200);
    eventually("it is done", || jobs()[0]["status"] == "done");
    assert_eq!(stage.deliveries(), ["1 500 HTTP 500", "2 404 HTTP 404", "3 200"]);
}

#[test]
fn a_receiver_says_when_it_wants_to_be_asked_again() {
    let stage = Stage::new();
    let wait = "select extract(epoch from available_at - now())::bigint from nebula.outbox_live where type = 'webhook.delivery' and status = 'pending'";
    stage.hook(&stage.receiver.url("/"), "user.created");
    let date = "Retry-After: Fri, 31 Dec 2066 23:59:59 GMT\r\n";
    for (number, (status, header, seconds)) in [
        (503, "Retry-After: 3600\r\n", 3_590..3_601),
        (429, date, 86_390..86_401),
        (500, "retry-after: 120\r\n", 110..121),
        (429, "", 0..3),
    ]
    .into_iter()
    .enumerate()
    {
        stage.receiver.next([Behaviour::Answer(status, header.to_owned())]);
        stage.acme.person(&format!("p{number}"));
        eventually("the attempt is written", || stage.delivery_count() == i64::try_from(number).unwrap() + 1);
        let waited = stage.database.number(wait, &[]);
        assert!(seconds.contains(&waited), "{status} {header}: {waited}");
        stage.database.execute("delete from nebula.outbox_live");
    }
}

#[test]
fn a_redirect_is_a_failure_and_is_not_followed() {
    let stage = Stage::new();
    let other = Receiver::start();
    stage.hook(&stage.receiver.url("/"), "user.created");
    let statuses = [301, 302, 303, 307, 308];
    stage.receiver.next(statuses.map(|status| Behaviour::Answer(status, format!("location: {}\r\n", other.url("/stolen")))));
    stage.acme.person("bia");
    stage.received(6);
    stage.database.settle();
    let expected = statuses.iter().enumerate().map(|(at, status)| format!("{} {status} HTTP {status}", at + 1)).chain(["6 200".to_owned()]);
    assert_eq!(stage.deliveries(), expected.collect::<Vec<_>>());
    assert_eq!(other.connections(), 0);
}

#[test]
fn a_receiver_that_is_gone_is_suspended_at_once_and_the_tenants_others_are_told() {
    let stage = Stage::new();
    let other = Receiver::start();
    let (gone, _) = stage.hook(&stage.receiver.url("/"), "*");
    let (_, secret) = stage.hook(&other.url("/"), "webhook.suspended");
    stage.receiver.usually(Behaviour::status(410));
    stage.acme.person("bia");
    eventually("it is suspended", || stage.hook_status(gone) == "suspenso: the receiver answered 410 Gone");
    eventually("the other one is told", || other.received().len() == 1);
    let told = other.received();
    assert!(verifies(&secret, &told[0]));
    assert_eq!(
        (&body(&told[0])["type"], &body(&told[0])["data"]),
        (
            &json!("webhook.suspended"),
            &json!({ "id": gone, "url": stage.receiver.url("/"), "status": "suspenso", "suspendedReason": "the receiver answered 410 Gone" })
        )
    );
    // Nothing more is sent there, whatever happens.
    let sent = stage.receiver.received().len();
    stage.acme.person("caio");
    stage.acme.admin.post(&format!("/v1/webhooks/{gone}/test"), &json!({})).data(202);
    stage.database.settle();
    assert_eq!((stage.receiver.received().len(), other.received().len()), (sent, 1));
    let audited = stage.database.texts(
        "select actor_type || ' ' || metadata::text from nebula.audit_log where entity_type = 'webhook_subscription' and entity_id = $1 and metadata ->> 'verb' = 'update'",
        &[&gone],
    );
    assert!(audited.len() == 1 && audited[0].starts_with("system") && audited[0].contains("suspended_reason"), "{audited:?}");
    // A person may try again.
    stage.receiver.usually(Behaviour::status(204));
    stage.acme.admin.patch(&format!("/v1/webhooks/{gone}"), &json!({ "status": "ativo" })).data(200);
    stage.acme.person("davi");
    stage.received(sent + 1);
}

#[test]
fn a_webhook_that_has_failed_for_days_is_suspended_and_one_that_fails_since_today_is_not() {
    let stage = Stage::new();
    let other = Receiver::start();
    let (hook, _) = stage.hook(&stage.receiver.url("/"), "user.created");
    stage.hook(&other.url("/"), "webhook.suspended");
    stage.receiver.usually(Behaviour::status(503));
    stage.database.execute("update nebula.webhook_subscription set failing_since = now() - interval '4 days 23 hours'");
    stage.acme.person("bia");
    eventually("it was tried twice", || stage.delivery_count() >= 2);
    assert_eq!(stage.hook_status(hook), "ativo");
    stage.database.execute("update nebula.webhook_subscription set failing_since = now() - interval '5 days 1 minute'");
    eventually("it is suspended", || stage.hook_status(hook) == "suspenso: no delivery has succeeded for 5 days");
    eventually("the other one is told", || other.received().len() == 1);
    // Its days begin anew with who reactivates it.
    stage.acme.admin.patch(&format!("/v1/webhooks/{hook}"), &json!({ "status": "ativo" })).data(200);
    let before = stage.delivery_count();
    stage.acme.person("caio");
    eventually("it is tried again", || stage.delivery_count() > before);
    assert_eq!(stage.hook_status(hook), "ativo");
}

#[test]
fn an_address_that_is_not_public_is_not_called_whatever_is_registered() {
    // The database allows loopback addresses, the worker does not.
    let stage = Stage::with(&[]);
    let (port, count) = counting_listener();
    for (number, (url, error)) in [
        (format!("https://localhost:{port}/"), "address not public"),
        (format!("https://127.0.0.1:{port}/"), "address not public"),
        (format!("https://[::ffff:127.0.0.1]:{port}/"), "address not public"),
        (format!("https://0.0.0.0:{port}/"), "address not public"),
        ("https://169.254.169.254/latest/meta-data/".to_owned(), "address not public"),
        ("https://[fd00:ec2::254]/".to_owned(), "address not public"),
        ("https://nobody.invalid/".to_owned(), "host not found"),
        (format!("http://localhost:{port}/"), "the URL can't be called"),
        (format!("http://127.0.0.1:{port}/"), "the URL can't be called"),
        (format!("ftp://127.0.0.1:{port}/"), "the URL can't be called"),
        ("nonsense".to_owned(), "the URL can't be called"),
    ]
    .into_iter()
    .enumerate()
    {
        let (hook, _) = stage.hook("https://hooks.acme.com/", "webhook.never");
        stage.database.superuser().execute("update nebula.webhook_subscription set url = $1 where id = $2", &[&url, &hook]).unwrap();
        stage.acme.admin.post(&format!("/v1/webhooks/{hook}/test"), &json!({})).data(202);
        let errors = || stage.database.texts("select error from nebula.webhook_delivery where webhook_subscription_id = $1", &[&hook]);
        eventually("it was tried", || !errors().is_empty());
        assert_eq!(errors()[0], error, "{number}: {url}");
        stage.acme.admin.delete(&format!("/v1/webhooks/{hook}")).empty();
    }
    assert_eq!(count.load(Ordering::SeqCst), 0, "nobody was connected to");
}

#[test]
fn addresses_of_this_machine_are_registered_only_where_the_installation_allows_it() {
    let stage = Stage::new();
    let create = |caller: &User, url: &str| caller.post("/v1/webhooks", &json!({ "url": url, "events": ["*"] }));
    for allowed in ["http://127.0.0.1:4000/a", "http://localhost/", "https://localhost:8443/", "http://[::1]:80/"] {
        create(&stage.acme.admin, allowed).data(201);
    }
    for refused in
        ["http://10.0.0.1/", "http://example.com/", "http://192.168.0.1/", "https://169.254.169.254/", "http://localhost.example.com/"]
    {
        assert_eq!(create(&stage.acme.admin, refused).refused(400, "VALIDATION_ERROR")[0]["field"], "url", "{refused}");
    }
    stage.database.execute(&format!("alter database {} reset nebula.allow_loopback_webhooks", stage.database.name));
    let edge = stage.database.serve();
    create(&edge.user(&stage.acme.admin.token), "http://127.0.0.1:4000/a").invalid("url", "url");
    create(&edge.user(&stage.acme.admin.token), "https://127.0.0.1:4000/a").invalid("url", "public_address");
    let mut session = stage.database.connect("nebula_edge");
    // Before the library is loaded anybody may set anything; it counts no more than afterwards.
    session.batch_execute("set nebula.allow_loopback_webhooks = on; select nebula.readiness()").unwrap();
    assert_eq!(session.query_one("show nebula.allow_loopback_webhooks", &[]).unwrap().get::<_, String>(0), "off");
    assert!(session.batch_execute("set nebula.allow_loopback_webhooks = on").is_err(), "only a superuser allows it");
}

#[test]
fn who_hangs_or_never_ends_holds_up_nobody_else() {
    let limits = [("NEBULA_WORKER_CONCURRENCY", "4"), ("NEBULA_WORKER_HOST_CONCURRENCY", "2"), ("NEBULA_WEBHOOK_TIMEOUT_MS", "3000")];
    let stage = Stage::with(&[&[ALLOWED], limits.as_slice()].concat());
    let zeta = onboard(&stage.edge, "zeta");
    stage.database.settle();
    let quick = Receiver::start();
    stage.hook(&stage.receiver.url("/"), "user.created");
    hook(&zeta, &quick.url_by_name("/"), "user.created");
    stage.receiver.usually(Behaviour::Hang);
    for number in 0..8 {
        stage.acme.person(&format!("p{number}"));
    }
    eventually("the slow host is at its bound", || stage.receiver.open() == 2);
    let hung = stage.receiver.connections();
    for number in 0..8 {
        zeta.person(&format!("p{number}"));
    }
    eventually("the others are served", || quick.received().len() == 8);
    assert_eq!(stage.receiver.connections(), hung, "the first two still hang: nobody waited for their timeout");
    // A success is one by its status; what follows is not waited for.
    stage.receiver.usually(Behaviour::Endless);
    eventually("all are delivered", || {
        stage.database.number("select count(*) from nebula.outbox where type = 'webhook.delivery' and status = 'done'", &[]) == 16
    });
    let outcomes = stage.deliveries().into_iter().map(|row| row.split_once(' ').unwrap().1.to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(outcomes, BTreeSet::from(["- timeout".to_owned(), "200".to_owned()]));
    assert!(stage.receiver.received().len() >= 10);
}

#[test]
fn a_tenants_events_go_to_its_own_webhooks_and_only_while_these_are_active() {
    let stage = Stage::new();
    let zeta = onboard(&stage.edge, "zeta");
    let (suspended, _) = stage.hook(&stage.receiver.url("/suspended"), "*");
    let (removed, _) = stage.hook(&stage.receiver.url("/removed"), "*");
    stage.hook(&stage.receiver.url("/other-events"), "group.created");
    stage.acme.admin.patch(&format!("/v1/webhooks/{suspended}"), &json!({ "status": "suspenso" })).data(200);
    stage.acme.admin.delete(&format!("/v1/webhooks/{removed}")).empty();
    stage.database.settle();
    hook(&zeta, &stage.receiver.url("/zeta"), "*");
    stage.acme.person("bia");
    zeta.person("caio");
    stage.received(1);
    stage.database.settle();
    let received = stage.receiver.received();
    assert_eq!(received.len(), 1);
    assert_eq!((received[0].path.as_str(), &body(&received[0])["tenantId"]), ("/zeta", &json!(zeta.id)));
    assert!(!received[0].body.contains("acme"));
}

#[test]
fn a_connection_serves_again_and_is_given_up_when_nothing_follows() {
    let stage = Stage::with(&[ALLOWED, ("NEBULA_WORKER_HOST_CONCURRENCY", "2")]);
    stage.hook(&stage.receiver.url("/hook"), "order.paid");
    stage.receiver.usually(Behaviour::Keep(200));
    (0..20).for_each(|_| stage.emit("order.paid"));
    let received = stage.received(20);
    assert!(received.iter().all(|request| request.headers["host"] == stage.receiver.address.to_string()));
    assert!((1..=2).contains(&stage.receiver.connections()), "{}", stage.receiver.connections());
    eventually("they are recorded", || stage.deliveries() == ["1 200"; 20]);
    eventually("what is idle is closed", || stage.receiver.open() == 0);
    stage.emit("order.paid");
    stage.received(21);
}

#[test]
fn a_receiver_that_closes_a_kept_connection_in_that_moment_has_not_failed() {
    let stage = Stage::with(&[ALLOWED, ("NEBULA_WORKER_HOST_CONCURRENCY", "1")]);
    stage.hook(&stage.receiver.url("/hook"), "order.paid");
    stage.receiver.usually(Behaviour::Keep(200));
    stage.emit("order.paid");
    stage.received(1);
    eventually("it is recorded", || stage.delivery_count() == 1);
    // Over the connection that has served it comes to nothing, over a new one it is answered: one attempt, of the same message.
    stage.receiver.next([Behaviour::Close]);
    stage.emit("order.paid");
    let received = stage.received(3);
    assert_eq!(received[1].headers["webhook-id"], received[2].headers["webhook-id"]);
    eventually("it is recorded", || stage.deliveries() == ["1 200", "1 200"]);
    // A new connection that comes to nothing is a failure.
    eventually("what is idle is closed", || stage.receiver.open() == 0);
    stage.receiver.next([Behaviour::Close]);
    stage.emit("order.paid");
    stage.received(5);
    eventually("it was tried again", || stage.delivery_count() == 4);
    assert_eq!(stage.deliveries()[2..], ["1 - connection closed before the answer", "2 200"]);
}

#[test]
fn certificates_are_verified() {
    let database = Database::new();
    let dir = &database.installation.cluster.dir;
    let (cert, key) = (dir.join(format!("{}.crt", database.name)), dir.join(format!("{}.key", database.name)));
    let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
    let made = Command::new("openssl")
        .args(["req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=localhost"])
        .args(curve)
        .args(["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE", "-out"])
        .arg(&cert)
        .arg("-keyout")
        .arg(&key)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let mut jose = Jose::start();
    let port = jose.serve(&fs::read_to_string(&cert).unwrap(), &fs::read_to_string(&key).unwrap(), "ok");
    let plain = Receiver::start();
    let attempt = |url: &str, trusted: bool| {
        let mut settings = vec![ALLOWED];
        if trusted {
            settings.push(("SSL_CERT_FILE", cert.to_str().unwrap()));
        }
        let stage = Stage::with(&settings);
        let (hook, _) = stage.hook(url, "user.created");
        stage.acme.admin.post(&format!("/v1/webhooks/{hook}/test"), &json!({})).data(202);
        eventually("it was tried", || stage.delivery_count() > 0);
        stage.deliveries().remove(0)
    };
    let by_name = format!("https://localhost:{port}/");
    assert_eq!(attempt(&by_name, true), "1 200");
    assert_eq!(attempt(&by_name, false), "1 - TLS: certificate not trusted");
    assert_eq!(attempt(&format!("https://127.0.0.1:{port}/"), true), "1 - TLS: certificate of another name");
    assert_eq!(attempt(&plain.url("/").replace("http:", "https:"), true), "1 - connection closed before the answer");
}

#[test]
fn a_worker_tells_only_of_what_it_holds_and_reads_no_other_secrets() {
    let stage = Stage::new();
    stage.receiver.usually(Behaviour::Hang);
    let (hook, _) = stage.hook(&stage.receiver.url("/"), "user.created");
    stage.acme.person("bia");
    stage.received(1);
    let job = stage.database.text("select id::text from nebula.outbox_live where type = 'webhook.delivery'", &[]).parse::<Uuid>().unwrap();
    let holder = stage.database.text("select locked_by from nebula.outbox_live where id = $1", &[&job]);
    let mut session = stage.database.connect("nebula_worker");
    let mut requests = |worker: &str, attempt: i32| {
        let rows =
            session.query("select url, secret from nebula.webhook_requests($1, $2, $3)", &[&worker, &vec![job], &vec![attempt]]).unwrap();
        rows.len()
    };
    assert_eq!((requests(&holder, 1), requests("somebody else", 1), requests(&holder, 2)), (1, 0, 0));
    let mut record = |worker: &str, tenant: Uuid, attempt: i32| {
        let outcomes = json!([{ "id": job, "tenantId": tenant, "attempt": attempt, "statusCode": 200, "latencyMs": 1 }]);
        session.query_one("select nebula.record_deliveries($1, $2)", &[&worker, &outcomes]).unwrap().get::<_, i32>(0)
    };
    assert_eq!(
        (record("somebody else", stage.acme.id, 1), record(&holder, Uuid::now_v7(), 1), record(&holder, stage.acme.id, 2)),
        (0, 0, 0)
    );
    assert_eq!(stage.delivery_count(), 0);
    for junk in [json!({}), json!([{}]), json!([{ "id": job, "tenantId": stage.acme.id, "attempt": 1, "latencyMs": 1, "more": 1 }])] {
        let error = session.query_one("select nebula.record_deliveries($1, $2)", &[&holder, &junk]).unwrap_err();
        assert_eq!(error.code().unwrap().code(), "22023", "{junk}");
    }
    // One whose lease is over writes down what it did; the job goes its own way.
    stage.database.execute("update nebula.outbox_live set attempts = 2, locked_by = 'the next one' where type = 'webhook.delivery'");
    let outcomes = json!([{ "id": job, "tenantId": stage.acme.id, "attempt": 1, "statusCode": 200, "latencyMs": 1 }]);
    session.query_one("select nebula.record_deliveries($1, $2)", &[&holder, &outcomes]).unwrap();
    assert_eq!(stage.deliveries(), ["1 200"]);
    assert_eq!(stage.database.text("select status from nebula.outbox where id = $1", &[&job]), "running");
    assert!(session.query("select from nebula.webhook_subscription", &[]).is_err());
    assert_eq!(stage.hook_status(hook), "ativo");
}

#[test]
fn an_event_that_is_kept_no_more_is_not_delivered_again() {
    let stage = Stage::new();
    let (hook, _) = stage.hook(&stage.receiver.url("/"), "user.created");
    stage.acme.person("bia");
    stage.received(1);
    stage.database.settle();
    stage.database.execute("delete from nebula.outbox where type = 'user.created'");
    let delivery = stage.acme.admin.get(&format!("/v1/webhooks/{hook}/deliveries")).data(200)[0]["id"].take();
    stage.acme.admin.post(&format!("/v1/webhooks/deliveries/{}/redeliver", delivery.as_str().unwrap()), &json!({})).data(202);
    let job = || stage.acme.admin.get("/v1/jobs?type=webhook.redelivery").data(200)[0].take();
    eventually("it is dead", || job()["status"] == "dead");
    assert_eq!(job()["lastError"], json!("the event is not kept any more"));
    assert_eq!(stage.receiver.received().len(), 1);
}

#[test]
fn a_secret_that_a_worker_cannot_open_is_no_failure_of_the_webhooks() {
    let stage = Stage::with(&[ALLOWED, ("NEBULA_KEYS_DIR", "/nonexistent")]);
    let (hook, _) = stage.hook(&stage.receiver.url("/"), "user.created");
    stage.acme.person("bia");
    let error = || stage.database.texts("select last_error from nebula.outbox_live where type = 'webhook.delivery'", &[]);
    eventually("it was tried", || error() == ["the secret can't be opened by this worker"]);
    assert_eq!((stage.delivery_count(), stage.receiver.connections()), (0, 0));
    assert_eq!(
        stage.database.number("select count(*) from nebula.webhook_subscription where failing_since is null and id = $1", &[&hook]),
        1
    );
    // Another worker can: nothing is lost.
    drop(stage.worker);
    let _worker = stage.database.work_with(&[ALLOWED]);
    eventually("it is delivered", || stage.receiver.received().len() == 1);
}

/// Not a wait for a time: what is late is waited for.
#[test]
fn a_slow_receiver_within_the_time_is_a_good_one_and_its_latency_is_written() {
    let stage = Stage::new();
    stage.hook(&stage.receiver.url("/"), "user.created");
    stage.receiver.next([Behaviour::Late(Duration::from_millis(300), 202)]);
    stage.acme.person("bia");
    stage.received(1);
    stage.database.settle();
    assert_eq!(stage.deliveries(), ["1 202"]);
    assert_eq!(stage.database.number("select count(*) from nebula.webhook_delivery where latency_ms >= 300", &[]), 1);
}

/// Nobody is woken for events of a tenant without webhooks, so that some may wait when it gets one.
#[test]
fn a_tenants_first_webhook_gets_nothing_of_what_was_before_it() {
    let database = Database::new();
    database.execute("select nebula.adopt_here()");
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let zeta = onboard(&edge, "zeta");
    let emit = |event: &str, tenant: Uuid, aggregate: Option<&str>, wait: &str| {
        let sql = format!("select nebula.emit($1, '{{}}', $2, $3, now() + interval '{wait}')");
        database.superuser().execute(&sql, &[&event, &aggregate, &tenant]).unwrap();
    };
    emit("order.before", acme.id, None, "0");
    emit("order.before", acme.id, Some("order/1"), "0");
    emit("order.before", acme.id, Some("order/1"), "0");
    emit("order.later", acme.id, None, "1 hour");
    emit("order.foreign", zeta.id, None, "0");
    let found = || database.texts("select type || ' ' || status from nebula.outbox where type ~ '^(order|webhook)' order by position", &[]);
    hook(&acme, "https://acme.example/", "*");
    let before = ["order.before done", "order.before done", "order.before done", "order.later pending", "order.foreign pending"];
    assert_eq!(found(), before);
    // The next one finds what the first one waits for.
    emit("order.after", acme.id, None, "0");
    hook(&acme, "https://acme.example/", "*");
    assert_eq!(found(), [&before[..], &["order.after pending"]].concat());
    database.connect("nebula_worker").query_one("select nebula.relay('w', 100)", &[]).unwrap();
    let deliveries = "select payload #>> '{data,eventType}' from nebula.outbox where type = 'webhook.delivery'";
    assert_eq!(database.texts(deliveries, &[]), ["order.after", "order.after"]);
}
