//! `nebula.tenant_for`: the caller's tenant where they may do an action, asked by policies for each row.

use nebula_tests::{
    Shop, eventually,
    http::id,
    shop::{PROTECT, number},
    sql_caller::{as_postgrest, can},
    token::claims_of,
};
use postgres::{Client, GenericClient};
use serde_json::{Value, json};
use uuid::Uuid;

fn tenant_for(client: &mut impl GenericClient, action: &str) -> Option<Uuid> {
    client.query_one("select nebula.tenant_for($1)", &[&action]).unwrap().get(0)
}

#[test]
fn it_is_the_tenant_of_who_may_and_null_for_everybody_else() {
    let shop = Shop::new();
    let (acme, all) = (shop.acme.id, ["groups.list", "groups.create"]);
    let ask = |client: &mut Client| all.map(|action| tenant_for(client, action));
    assert_eq!(ask(&mut shop.as_acme()), [Some(acme), Some(acme)]);
    assert_eq!(ask(&mut shop.as_acme_with(&["groups.list"])), [Some(acme), None]);
    assert_eq!(ask(&mut shop.database.superuser()), [None, None]);
    // Actions that nobody has heard of, that are the platform's, that only the edge does.
    for action in ["nothing.at_all", "", "tenants.create", "auth.login"] {
        assert_eq!(tenant_for(&mut shop.as_acme(), action), None, "{action}");
    }
}

#[test]
fn it_is_marked_as_what_plans_may_rely_on() {
    let shop = Shop::new();
    let marks = shop.database.text("select provolatile::text || proparallel::text || proisstrict || prosecdef from pg_proc where oid = 'nebula.tenant_for(text)'::regprocedure", &[]);
    assert_eq!(marks, "srtruefalse");
}

/// A person of acme's without any right.
struct Person {
    id: Uuid,
    token: String,
}

impl Person {
    fn of(shop: &Shop) -> Self {
        let (acme, mut handle) = (&shop.acme, shop.database.handle());
        let person = id(&acme.does(&mut handle, "users.create", &json!({ "email": "bia@acme.example", "name": "Bia" }), 201));
        let invite = acme.does(&mut handle, "users.invite", &json!({ "id": person }), 201);
        let password = json!({ "token": invite["token"], "password": nebula_tests::story::derived_password() });
        assert_eq!(handle.public(acme.id, "auth.password", &password).status, 204);
        let (token, _) = nebula_tests::story::log_in_by_sql(&shop.database, &mut handle, acme.id, "acme", "bia@acme.example");
        Self { id: person, token }
    }

    /// Grants her an action by a group of its own.
    fn may(&self, shop: &Shop, action: &str, constraints: &Value) {
        let (acme, mut handle) = (&shop.acme, shop.database.handle());
        let group = id(&acme.does(&mut handle, "groups.create", &json!({ "name": constraints.to_string() }), 201));
        acme.does(&mut handle, "groups.members.add", &json!({ "id": group, "userId": self.id }), 201);
        let permission = json!({ "id": group, "permissions": [{ "action": action, "constraints": constraints }] });
        acme.does(&mut handle, "groups.permissions.grant", &permission, 201);
    }
}

#[test]
fn a_persons_grant_counts_as_far_as_its_constraints_hold_for_every_row() {
    let shop = Shop::new();
    shop.database.execute(&PROTECT.replace("{nebula_app}", "{authenticated}"));
    let bia = Person::of(&shop);
    let mut authenticator = shop.database.connect("authenticator");
    let mut seen = |constraints: Option<Value>| {
        if let Some(constraints) = constraints {
            bia.may(&shop, "orders.read", &constraints);
        }
        let mut transaction = as_postgrest(&mut authenticator, &claims_of(&bia.token));
        let count: i64 = transaction.query_one("select count(*) from public.orders", &[]).unwrap().get(0);
        count
    };
    assert_eq!(seen(None), 0);
    // Which row is which resource, nobody can say of a table.
    assert_eq!(seen(Some(json!({ "resourceIds": [Uuid::now_v7()] }))), 0);
    assert_eq!(seen(Some(json!({ "validUntil": "2020-01-01T00:00:00Z" }))), 0);
    assert_eq!(seen(Some(json!({ "ipCidrs": ["203.0.113.0/24"] }))), 0);
    assert_eq!(seen(Some(json!({ "validFrom": "2020-01-01T00:00:00Z" }))), 5);
}

/// In one session, which remembers answers. Nothing is written when the time comes, so nothing tells it.
#[test]
fn what_the_clock_decides_is_asked_anew_by_each_statement() {
    let shop = Shop::new();
    let (acme, end) = (shop.acme.id, "now() + interval '2 seconds'");
    let may = |client: &mut Client| (tenant_for(client, "groups.list"), can(client, "groups.list"));
    let mut client = shop.as_acme();
    assert_eq!(may(&mut client), (Some(acme), true));
    for (end, mend) in [
        (
            format!("update nebula.tenant_package set expires_at = {end} where tenant_id = '{acme}'"),
            format!("update nebula.tenant_package set expires_at = null where tenant_id = '{acme}'"),
        ),
        (
            format!("update nebula.api_key set expires_at = {end} where tenant_id = '{acme}'"),
            format!("update nebula.api_key set expires_at = null where tenant_id = '{acme}'"),
        ),
    ] {
        shop.database.execute(&end);
        assert_eq!(may(&mut client), (Some(acme), true), "{end}");
        eventually("the time has come", || may(&mut client) == (None, false));
        shop.database.execute(&mend);
        assert_eq!(may(&mut client), (Some(acme), true), "{mend}");
    }
}

#[test]
fn what_a_grants_constraints_decide_is_asked_anew_by_each_statement() {
    let shop = Shop::new();
    let bia = Person::of(&shop);
    let soon = shop.database.text("select to_json(now() + interval '3 seconds') #>> '{}'", &[]);
    bia.may(&shop, "groups.list", &json!({ "validUntil": soon }));
    bia.may(&shop, "users.list", &json!({ "ipCidrs": ["203.0.113.0/24"] }));
    let mut authenticator = shop.database.connect("authenticator");
    let mut transaction = as_postgrest(&mut authenticator, &claims_of(&bia.token));
    assert!(can(&mut transaction, "groups.list"));
    for (ip, may) in [("203.0.113.7", true), ("198.51.100.7", false), ("203.0.113.8", true)] {
        let headers = json!({ "x-real-ip": ip }).to_string();
        transaction.execute("select set_config('request.headers', $1, true)", &[&headers]).unwrap();
        assert_eq!((can(&mut transaction, "users.list"), tenant_for(&mut transaction, "users.list").is_some()), (may, may), "{ip}");
    }
    eventually("the grant's time is over", || {
        !can(&mut transaction, "groups.list") && tenant_for(&mut transaction, "groups.list").is_none()
    });
}

#[test]
fn an_answer_that_lasts_ends_with_what_it_was_made_of() {
    let shop = Shop::new();
    let acme = shop.acme.id;
    let mut client = shop.as_acme();
    let execute = |sql: &str| shop.database.execute(&sql.replace("$acme", &acme.to_string()));
    for (take, give) in [
        ("update nebula.tenant set status = 'suspenso' where id = '$acme'", "update nebula.tenant set status = 'ativo' where id = '$acme'"),
        (
            "update nebula.api_key set status = 'suspenso' where tenant_id = '$acme'",
            "update nebula.api_key set status = 'ativo' where tenant_id = '$acme'",
        ),
        (
            "update nebula.tool_action set status = 'suspenso' where key = 'groups.list'",
            "update nebula.tool_action set status = 'ativo' where key = 'groups.list'",
        ),
    ] {
        // More than once: it is remembered by then.
        assert!((0..3).all(|_| can(&mut client, "groups.list")), "{give}");
        execute(take);
        assert!((0..3).all(|_| !can(&mut client, "groups.list")), "{take}");
        execute(give);
    }
    // In the transaction that changes it, too.
    assert!(can(&mut client, "groups.list"));
    client.batch_execute("begin").unwrap();
    execute("update nebula.tool_action set status = 'suspenso' where key = 'groups.list'");
    assert!(!can(&mut client, "groups.list"));
    client.batch_execute("rollback").unwrap();
}

#[test]
fn in_an_operation_it_answers_for_who_does_it_whoever_owns_the_session() {
    let shop = Shop::new();
    // What an application's trigger sees in the middle of an operation.
    shop.database.execute(
        "create table public.seen (may uuid, may_not uuid); grant insert on public.seen to nebula_owner; \
         create function public.see() returns trigger language plpgsql as $$ begin \
           insert into public.seen values (nebula.tenant_for('groups.create'), nebula.tenant_for('users.create')); return new; end $$; \
         create trigger see after insert on nebula.\"group\" for each row execute function public.see()",
    );
    let mut handle = shop.database.handle();
    for tenant in [&shop.acme, &shop.zeta] {
        let (_, secret) = tenant.key(&mut handle, &json!({ "name": "robot", "actions": ["groups.create"] }));
        handle.call(tenant.id, &secret, "groups.create", &json!({ "name": "Suporte" })).data(201);
        let seen = shop.database.texts("delete from public.seen returning may::text || coalesce(may_not::text, ' and nothing')", &[]);
        assert_eq!(seen, [format!("{} and nothing", tenant.id)]);
    }
    // Nothing of it stays.
    assert_eq!(number(&mut handle.client, "select 1::bigint"), 1);
}

#[test]
fn a_statement_over_many_tables_asks_each_action_once_and_right() {
    let shop = Shop::new();
    shop.database.execute(
        "do $$ begin for n in 1..40 loop \
           execute format('create table public.t%s (id integer); insert into public.t%1$s values (1)', n); \
           perform nebula.protect(format('public.t%s', n)::regclass, tenant => (select id from nebula.tenant where slug = 'acme'), package => 'pro', grant_to => '{nebula_app}'); \
         end loop; end $$",
    );
    let count = |tables: std::ops::RangeInclusive<u32>| {
        let selects = tables.map(|n| format!("select id from public.t{n}")).collect::<Vec<_>>().join(" union all ");
        format!("select count(*) from ({selects}) everything")
    };
    assert_eq!(number(&mut shop.as_acme(), &count(1..=40)), 40);
    assert_eq!(number(&mut shop.as_zeta(), &count(1..=40)), 0);
    let odd = (1..=40).filter(|n| n % 2 == 1).map(|n| format!("t{n}.read")).collect::<Vec<_>>();
    let mut some = shop.as_acme_with(&odd.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(number(&mut some, &count(1..=40)), 20);
}
