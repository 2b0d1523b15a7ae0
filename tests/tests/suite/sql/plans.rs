//! Lists at scale: a page is one range of an index wherever it lies, as the executor itself says.

use nebula_tests::{Database, Handle, onboard_by_sql};
use postgres::{Client, Config, NoTls};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use uuid::Uuid;

const PEOPLE: i32 = 300_000;

/// A superuser's session that is told each plan that its own statements' functions run, with the buffers that they touch.
struct Watched {
    handle: Handle,
    plans: Arc<Mutex<Vec<Value>>>,
}

impl Watched {
    fn new(database: &Database) -> Self {
        let plans = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&plans);
        let mut client: Client = database
            .url("postgres")
            .parse::<Config>()
            .unwrap()
            .notice_callback(move |notice| {
                if let Some((_, plan)) = notice.message().split_once("plan:\n") {
                    heard.lock().unwrap().push(serde_json::from_str(plan).unwrap());
                }
            })
            .connect(NoTls)
            .unwrap();
        client
            .batch_execute(
                "load 'auto_explain'; set auto_explain.log_min_duration = 0; set auto_explain.log_nested_statements = on; set auto_explain.log_analyze = on; \
                 set auto_explain.log_buffers = on; set auto_explain.log_timing = off; set auto_explain.log_format = json; set auto_explain.log_level = notice; \
                 set client_min_messages = notice; set jit = off",
            )
            .unwrap();
        Self { handle: Handle::new(client), plans }
    }

    /// A page of people: the answer, and the plan of the statement that reads it.
    fn page(&mut self, tenant: Uuid, credential: &str, query: &Value) -> (Value, Value) {
        self.plans.lock().unwrap().clear();
        let mut request = nebula_tests::handle::request("users.list", Some(credential), &json!({}));
        request["query"] = query.clone();
        let answer = self.handle.send(tenant, &request);
        assert_eq!(answer.status, 200, "{answer:?}");
        let plans = std::mem::take(&mut *self.plans.lock().unwrap());
        let lists = |plan: &Value| {
            let text = plan["Query Text"].as_str().unwrap();
            text.contains("from nebula.user u where u.tenant_id") && text.contains("order by")
        };
        let mut lists = plans.into_iter().filter(lists).collect::<Vec<_>>();
        assert_eq!(lists.len(), 1, "{lists:?}");
        (answer.body, lists.pop().unwrap())
    }
}

fn nodes(plan: &Value) -> Vec<&Value> {
    let mut found = vec![plan];
    for child in plan["Plans"].as_array().into_iter().flatten() {
        found.extend(nodes(child));
    }
    found
}

fn buffers(plan: &Value) -> i64 {
    plan["Plan"]["Shared Hit Blocks"].as_i64().unwrap() + plan["Plan"]["Shared Read Blocks"].as_i64().unwrap()
}

/// 300,000 people of one tenant in no useful order, some thousands of another among them. The indexes are built afterwards, which is faster.
fn crowd(database: &Database, tenant: Uuid, other: Uuid) {
    database
        .superuser()
        .batch_execute(&format!(
            "set session_replication_role = replica; set maintenance_work_mem = '256MB'; set max_parallel_maintenance_workers = 0; \
             update pg_index set indisready = false where indrelid = 'nebula.user'::regclass; \
             insert into nebula.user (tenant_id, email, name, created_at, updated_at, status, suspended_reason) \
             select case when n % 50 = 0 then '{other}'::uuid else '{tenant}'::uuid end, 'p' || md5(n::text) || '@crowd.example', 'Person ' || (n * 7919) % 100003, \
               '2026-01-01'::timestamptz + (n * 48271::bigint % 2147483) * interval '1 second', '2026-03-01'::timestamptz + (n * 16807::bigint % 2147483) * interval '1 second', \
               case when n % 10 = 0 then 'suspenso' else 'ativo' end::nebula.status, null \
             from generate_series(1, {PEOPLE}::bigint) n; \
             reindex table nebula.user"
        ))
        .unwrap();
}

#[test]
fn every_sort_of_people_reads_one_range_of_an_index_on_the_first_page_as_on_the_last() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    let zeta = onboard_by_sql(&database, "zeta");
    crowd(&database, acme.id, zeta.id);
    database.execute("vacuum (analyze) nebula.user");
    let mut watched = Watched::new(&database);
    for column in ["created_at", "updated_at", "name", "email"] {
        for (direction, opposite) in [("asc", "desc"), ("desc", "asc")] {
            let sort = format!("{column}:{direction}");
            // Twice, so that the catalogs' blocks that the first one reads are none of its.
            watched.page(acme.id, &acme.admin, &json!({ "sort": sort }));
            let (first, first_plan) = watched.page(acme.id, &acme.admin, &json!({ "sort": sort }));
            // A page from the far end: the cursor is that of somebody who has walked there. It is had by one step from a condition on the creation's time
            // where that is the column, and else by the position that the opposite sort begins with.
            let last = last_page(&database, &mut watched, acme.id, &acme.admin, column, &sort, opposite);
            let (page, last_plan) = watched.page(acme.id, &acme.admin, &last);
            assert_eq!(first["data"].as_array().unwrap().len(), 50);
            assert_eq!(first["meta"]["hasMore"], true);
            assert_eq!(page["meta"]["hasMore"], false, "{sort}: not the last page");
            for plan in [&first_plan, &last_plan] {
                let kinds = nodes(&plan["Plan"]).iter().map(|node| node["Node Type"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
                assert!(
                    kinds.iter().all(|kind| !kind.contains("Sort") && kind != "Seq Scan" && !kind.contains("Bitmap")),
                    "{sort}: {kinds:?}"
                );
                assert!(kinds.iter().any(|kind| kind == "Index Scan"), "{sort}: {kinds:?}");
                let scanned = nodes(&plan["Plan"]).iter().filter_map(|node| node["Rows Removed by Filter"].as_i64()).sum::<i64>();
                assert!(scanned <= 10, "{sort}: {scanned} rows were read for nothing: {plan}");
            }
            let (near, far) = (buffers(&first_plan), buffers(&last_plan));
            assert!(far <= near + 12 && near <= 200, "{sort}: {near} blocks on the first page, {far} on the last");
        }
    }
}

/// The query of the page that starts after all but a few of the people.
fn last_page(
    database: &Database,
    watched: &mut Watched,
    tenant: Uuid,
    credential: &str,
    column: &str,
    sort: &str,
    opposite: &str,
) -> Value {
    // The rows of the last page, by the list itself: the opposite sort's first. The last but 20 of them is where the cursor must stand.
    let (far, _) = watched.page(tenant, credential, &json!({ "sort": format!("{column}:{opposite}"), "limit": "21" }));
    let row = far["data"].as_array().unwrap()[20].clone();
    let secret: Vec<u8> = database.superuser().query_one("select secret from nebula.installation", &[]).unwrap().get(0);
    let value = match column {
        "name" | "email" => row[column].as_str().unwrap().to_owned(),
        _ => database.text(
            &format!("select to_char({column} at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') from nebula.user where id = $1"),
            &[&row["id"].as_str().unwrap().parse::<Uuid>().unwrap()],
        ),
    };
    let scope = json!([tenant, "users", null, column, sort.ends_with("desc"), null, null, null, null, []]).to_string();
    let position = nebula_core::cursor::Position { value, id: row["id"].as_str().unwrap().parse().unwrap() };
    json!({ "sort": sort, "cursor": nebula_core::cursor::seal(&secret, &scope, &position).unwrap() })
}
