//! PostgREST's sessions: pooled connections that speak for one person after the other, and what the database believes of what they say.

use nebula_tests::{
    Supabase, Tenant,
    sql_caller::{SqlRefusal, call},
    supabase::{Account, Presented, ask, pre_request, request},
    token::with,
};
use postgres::Client;
use serde_json::{Value, json};
use uuid::Uuid;

const WHO: &str = "select nebula.current_tenant()::text";

/// Two tenants, each with somebody who has logged in, and a table of an application's that holds two rows of each.
struct Scene {
    supabase: Supabase,
    acme: Tenant<String>,
    zeta: Tenant<String>,
    bias_id: Uuid,
    bias: String,
    zoes: String,
}

impl Scene {
    fn set(trust: &str) -> Self {
        let mut supabase = Supabase::with_auth();
        let (acme, zeta) = (supabase.tenant("acme"), supabase.tenant("zeta"));
        let bias_id = supabase.person(&acme, "bia@acme.example", &["ADM_CLIENTE"]);
        supabase.person(&zeta, "zoe@zeta.example", &["VIEWER"]);
        let (bia, zoe) = (Account::new("bia@acme.example"), Account::new("zoe@zeta.example"));
        let (bias, zoes) = (supabase.log_in_member(&bia), supabase.log_in_member(&zoe));
        supabase
            .dba()
            .batch_execute(&format!(
                "create table public.orders (id integer generated always as identity, tenant_id uuid not null default nebula.current_tenant(), note text); \
                 insert into public.orders (tenant_id, note) values ('{0}', 'acme 1'), ('{0}', 'acme 2'), ('{1}', 'zeta 1'), ('{1}', 'zeta 2'); \
                 alter table public.orders enable row level security; alter table public.orders force row level security; \
                 create policy tenant on public.orders using (tenant_id = nebula.current_tenant()) with check (tenant_id = nebula.current_tenant()); \
                 select nebula.set_postgrest_trust('{trust}')",
                acme.id, zeta.id
            ))
            .unwrap();
        Self { supabase, acme, zeta, bias_id, bias, zoes }
    }

    fn notes(pooled: &mut Client, presented: &Presented) -> Vec<String> {
        ask(pooled, presented, "select note from public.orders order by note").unwrap().into_iter().flatten().collect()
    }
}

const BOTH: [&str; 2] = ["claims", "token"];

#[test]
fn one_pooled_connection_speaks_for_two_tenants_in_turn_and_for_nobody_between() {
    for trust in BOTH {
        let scene = Scene::set(trust);
        let mut pooled = scene.supabase.postgrest();
        let (bia, zoe) = (Presented::token(&scene.bias), Presented::token(&scene.zoes));
        for _ in 0..20 {
            assert_eq!(Scene::notes(&mut pooled, &bia), ["acme 1", "acme 2"], "{trust}");
            assert_eq!(Scene::notes(&mut pooled, &zoe), ["zeta 1", "zeta 2"], "{trust}");
            assert!(Scene::notes(&mut pooled, &Presented::anon()).is_empty(), "{trust}");
            // Between requests: the settings are '' and not null by now.
            let outside = pooled.query_one("select current_setting('request.jwt.claims'), nebula.current_tenant() is null", &[]);
            // The login itself may call nothing: it has no role of its own (noinherit).
            assert_eq!(outside.unwrap_err().code().unwrap().code(), "42501");
        }
        // Within one transaction, too.
        let mut transaction = request(&mut pooled, &bia, true);
        for (presented, tenant) in [(&zoe, scene.zeta.id), (&bia, scene.acme.id)] {
            transaction
                .execute(
                    "select set_config('request.jwt.claims', $1, true), set_config('request.headers', $2, true)",
                    &[&presented.claims.to_string(), &presented.headers.to_string()],
                )
                .unwrap();
            assert_eq!(transaction.query_one(WHO, &[]).unwrap().get::<_, String>(0), tenant.to_string(), "{trust}");
        }
    }
}

#[test]
fn operations_and_columns_know_the_caller() {
    for trust in BOTH {
        let scene = Scene::set(trust);
        let mut pooled = scene.supabase.postgrest();
        let mut transaction = request(&mut pooled, &Presented::token(&scene.bias), false);
        pre_request(&mut transaction).unwrap();
        call(&mut transaction, "users.create", &json!({ "email": "caio@acme.example", "name": "Caio" })).unwrap();
        transaction.execute("insert into public.orders (note) values ('acme 3')", &[]).unwrap();
        let foreign = transaction.execute("update public.orders set note = 'x' where note like 'zeta%'", &[]).unwrap();
        assert_eq!(foreign, 0);
        transaction.commit().unwrap();
        let made = scene.supabase.database.text("select tenant_id::text from public.orders where note = 'acme 3'", &[]);
        assert_eq!(made, scene.acme.id.to_string());
        let who = "select actor_user_id::text from nebula.audit_log where action = 'users.create' and tenant_id = $1 order by created_at desc limit 1";
        assert_eq!(scene.supabase.database.text(who, &[&scene.acme.id]), scene.bias_id.to_string());
        // A viewer creates nobody.
        let mut transaction = request(&mut pooled, &Presented::token(&scene.zoes), false);
        call(&mut transaction, "users.create", &json!({ "email": "x@zeta.example", "name": "X" }))
            .unwrap_err()
            .is("PT403", "FORBIDDEN_ACTION");
    }
}

fn admitted(pooled: &mut Client, presented: &Presented, is_read: bool) -> Result<(), SqlRefusal> {
    let mut transaction = request(pooled, presented, is_read);
    pre_request(&mut transaction)?;
    // It sets nothing that PostgREST would send.
    let set: Option<String> = transaction.query_one("select current_setting('response.headers', true)", &[]).unwrap().get(0);
    assert!(set.unwrap_or_default().is_empty());
    Ok(())
}

#[test]
fn the_pre_request_lets_nobody_and_everybody_pass_but_who_is_unknown_or_suspended() {
    for trust in BOTH {
        let mut scene = Scene::set(trust);
        let mut pooled = scene.supabase.postgrest();
        let (bia, zoe) = (Presented::token(&scene.bias), Presented::token(&scene.zoes));
        for is_read in [true, false] {
            admitted(&mut pooled, &bia, is_read).unwrap();
            admitted(&mut pooled, &Presented::anon(), is_read).unwrap();
            // Supabase's service role names nobody; it bypasses RLS, and is outside of what this protects.
            let service =
                Presented { role: "service_role".into(), claims: json!({ "role": "service_role", "iss": "supabase" }), headers: json!({}) };
            admitted(&mut pooled, &service, is_read).unwrap();
            let stranger = scene.supabase.log_in(&Account::new("nobody@nowhere.example"));
            admitted(&mut pooled, &Presented::token(&stranger), is_read).unwrap_err().is("PT401", "INVALID_TOKEN");
        }
        let set = |sql: String| scene.supabase.database.execute(&sql);
        set(format!("update nebula.user set status = 'suspenso' where id = '{}'", scene.bias_id));
        admitted(&mut pooled, &bia, true).unwrap_err().is("PT403", "USER_SUSPENDED");
        assert!(Scene::notes(&mut pooled, &bia).is_empty());
        set(format!("update nebula.user set status = 'ativo' where id = '{}'", scene.bias_id));
        admitted(&mut pooled, &bia, true).unwrap();
        set(format!("update nebula.tenant set status = 'suspenso' where id = '{}'", scene.zeta.id));
        admitted(&mut pooled, &zoe, true).unwrap_err().is("PT403", "TENANT_SUSPENDED");
        assert!(Scene::notes(&mut pooled, &zoe).is_empty());
        set("delete from nebula.schema_migration where version > 20".to_owned());
        // Rights' caches are told by the product's own migrations; here somebody else wrote: a new session.
        admitted(&mut scene.supabase.postgrest(), &bia, true).unwrap_err().is("PT503", "SCHEMA_OUTDATED");
    }
}

#[test]
fn a_first_request_links_where_it_may_write_even_if_the_hook_is_not_set() {
    for trust in BOTH {
        let mut scene = Scene::set(trust);
        scene.supabase.person(&scene.acme, "caio@acme.example", &["VIEWER"]);
        let caio = Account::new("caio@acme.example");
        // As if another hook had named the tenant.
        let token = scene.supabase.sign(&with(&caio.claims(), &json!({ "tenantId": scene.acme.id })));
        let mut pooled = scene.supabase.postgrest();
        let presented = Presented::token(&token);
        admitted(&mut pooled, &presented, true).unwrap_err().is("PT401", "INVALID_TOKEN");
        let mut transaction = request(&mut pooled, &presented, false);
        pre_request(&mut transaction).unwrap();
        transaction.commit().unwrap();
        admitted(&mut pooled, &presented, true).unwrap();
        assert_eq!(ask(&mut pooled, &presented, WHO).unwrap(), [Some(scene.acme.id.to_string())], "{trust}");
    }
}

#[test]
fn a_change_of_trust_counts_from_the_next_statement_and_is_told() {
    let scene = Scene::set("claims");
    let mut pooled = scene.supabase.postgrest();
    let bare = Presented { headers: json!({ "host": "localhost" }), ..Presented::token(&scene.bias) };
    let mut transaction = request(&mut pooled, &bare, true);
    let mut who = || transaction.query_one(WHO, &[]).unwrap().get::<_, Option<String>>(0);
    let mut dba = scene.supabase.dba();
    let mut trust = |word: &str| dba.query_one("select nebula.set_postgrest_trust($1)", &[&word]).unwrap().get::<_, bool>(0);
    assert_eq!(who(), Some(scene.acme.id.to_string()));
    assert!(trust("token"));
    assert_eq!(who(), None);
    assert!(!trust("token"), "it is that already");
    assert!(trust("claims"));
    assert_eq!(who(), Some(scene.acme.id.to_string()));
    let told = scene.supabase.database.texts(
        "select metadata ->> 'postgrestTrust' from nebula.audit_log where entity_type = 'installation' and metadata ? 'postgrestTrust' order by created_at",
        &[],
    );
    assert_eq!(told, ["token", "claims"]);
    for word in ["", "Token", "none", "claims "] {
        let error = scene.supabase.dba().query_one("select nebula.set_postgrest_trust($1)", &[&word]).unwrap_err();
        assert_eq!(error.code().unwrap().code(), "22023", "{word}");
    }
}

/// Whoever has PostgREST's login and knows everything of bia but her token.
#[test]
fn with_trust_in_the_token_the_login_alone_is_nobody() {
    let mut scene = Scene::set("token");
    let good = Presented::token(&scene.bias);
    let mut pooled = scene.supabase.postgrest();
    assert_eq!(ask(&mut pooled, &good, WHO).unwrap(), [Some(scene.acme.id.to_string())]);
    let claims = good.claims.clone();
    let with_headers = |headers: Value| Presented { headers, ..good.clone() };
    let bearer = |token: &str| json!({ "authorization": format!("Bearer {token}") });
    let mut parts = scene.bias.split('.');
    let (header, payload, signature) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
    let other_secret = scene.supabase.jose.sign_with_secret(&"x".repeat(40), &json!({ "alg": "HS256", "typ": "JWT" }), &claims);
    let expired = scene.supabase.sign(&with(&claims, &json!({ "exp": 1_700_000_000, "iat": 1_699_999_000 })));
    let elsewhere = scene.supabase.sign(&with(&claims, &json!({ "tenantId": scene.zeta.id })));
    let mut attempts = vec![
        ("no headers", Presented { headers: json!({}), ..good.clone() }),
        ("headers that are no object", with_headers(json!([]))),
        ("headers that are a text", with_headers(json!("authorization"))),
        ("an empty bearer", with_headers(bearer(""))),
        ("basic instead of bearer", with_headers(json!({ "authorization": format!("Basic {}", scene.bias) }))),
        ("the token without a scheme", with_headers(json!({ "authorization": scene.bias }))),
        ("a list of headers", with_headers(json!({ "authorization": [format!("Bearer {}", scene.bias)] }))),
        ("a header in another case", with_headers(json!({ "Authorization": format!("Bearer {}", scene.bias) }))),
        ("without its signature", with_headers(bearer(&format!("{header}.{payload}.")))),
        ("another signature", with_headers(bearer(&format!("{header}.{payload}.{}", signature.chars().rev().collect::<String>())))),
        ("signed with another secret", with_headers(bearer(&other_secret))),
        ("alg none", with_headers(bearer(&nebula_tests::token::unsigned(r#"{"alg":"none","typ":"JWT"}"#, &claims.to_string())))),
        ("expired", with_headers(bearer(&expired))),
        ("zoe's token under bia's claims", with_headers(bearer(&scene.zoes))),
        ("bia's token under zoe's claims", Presented { claims: Presented::token(&scene.zoes).claims, ..good.clone() }),
        ("bia's token without claims", Presented { claims: json!({}), ..good.clone() }),
        ("bia's token under anon's claims", Presented { claims: Presented::anon().claims, ..good.clone() }),
        ("her own token of the other tenant", with_headers(bearer(&elsewhere))),
        ("claims of another tenant", Presented { claims: with(&claims, &json!({ "tenantId": scene.zeta.id })), ..good.clone() }),
        ("a claim of another subject", Presented { claims: with(&claims, &json!({ "sub": Uuid::now_v7() })), ..good.clone() }),
        ("a claim of another issuer", Presented { claims: with(&claims, &json!({ "iss": "nebula" })), ..good.clone() }),
        ("a made-up key", Presented::key(&format!("nbk_{}", "0".repeat(136)))),
    ];
    let both = Presented { headers: with(&good.headers, &json!({ "x-api-key": format!("nbk_{}", "0".repeat(136)) })), ..good.clone() };
    attempts.push(("a token and a key", both));
    for (what, presented) in &attempts {
        assert_eq!(ask(&mut pooled, presented, WHO).unwrap(), [None], "{what}");
        assert!(Scene::notes(&mut pooled, presented).is_empty(), "{what}");
    }
    // A text that isn't JSON.
    let mut transaction = request(&mut pooled, &good, true);
    for setting in ["request.headers", "request.jwt.claims"] {
        for text in ["", "{", "null", "\u{1f980}"] {
            let sql = format!("savepoint s; select set_config('{setting}', '{text}', true)");
            transaction.batch_execute(&sql).unwrap();
            assert_eq!(transaction.query_one(WHO, &[]).unwrap().get::<_, Option<String>>(0), None, "{setting} {text}");
            transaction.batch_execute("rollback to s").unwrap();
            assert!(transaction.query_one(WHO, &[]).unwrap().get::<_, Option<String>>(0).is_some());
        }
    }
    transaction.commit().unwrap();
    assert_eq!(ask(&mut pooled, &good, WHO).unwrap(), [Some(scene.acme.id.to_string())]);
}

#[test]
fn tokens_of_our_own_work_through_postgrest_and_end_with_their_session() {
    for trust in BOTH {
        let scene = Scene::set(trust);
        let mut pooled = scene.supabase.postgrest();
        let presented = Presented::token(&scene.acme.admin);
        assert_eq!(ask(&mut pooled, &presented, WHO).unwrap(), [Some(scene.acme.id.to_string())], "{trust}");
        scene.acme.does(&mut scene.supabase.database.handle(), "users.list", &json!({}), 200);
        let mut handle = scene.supabase.database.handle();
        let out = handle.public(scene.acme.id, "auth.logout", &json!({ "refreshToken": scene.acme.refresh_token }));
        assert_eq!(out.status, 204, "{out:?}");
        assert_eq!(ask(&mut pooled, &presented, WHO).unwrap(), [None], "{trust}");
        admitted(&mut pooled, &presented, true).unwrap_err().is("PT401", "INVALID_TOKEN");
    }
}

#[test]
fn a_key_in_its_own_header_is_a_service_caller_where_tokens_are_verified() {
    let scene = Scene::set("token");
    let mut handle = scene.supabase.database.handle();
    let (key, secret) = scene.acme.key(&mut handle, &json!({ "name": "robot", "profile": "read-only" }));
    let mut pooled = scene.supabase.postgrest();
    let presented = Presented::key(&secret);
    assert_eq!(Scene::notes(&mut pooled, &presented), ["acme 1", "acme 2"]);
    let actor = ask(&mut pooled, &presented, "select nebula.current_actor() ->> 'id'").unwrap();
    assert_eq!(actor, [Some(key.to_string())]);
    admitted(&mut pooled, &presented, true).unwrap();
    let can = |pooled: &mut Client, action: &str| ask(pooled, &presented, &format!("select nebula.can('{action}')::text")).unwrap();
    assert_eq!((can(&mut pooled, "users.list"), can(&mut pooled, "users.create")), (vec![Some("true".into())], vec![Some("false".into())]));
    scene.acme.does(&mut handle, "api_keys.status", &json!({ "id": key, "status": "suspenso" }), 200);
    assert!(Scene::notes(&mut pooled, &presented).is_empty());
    admitted(&mut pooled, &presented, true).unwrap_err().is("PT401", "INVALID_TOKEN");
    // Where claims are believed PostgREST has verified nothing of it.
    scene.acme.does(&mut handle, "api_keys.status", &json!({ "id": key, "status": "ativo" }), 200);
    scene.supabase.dba().query_one("select nebula.set_postgrest_trust('claims')", &[]).unwrap();
    assert!(Scene::notes(&mut pooled, &presented).is_empty());
}

#[test]
fn a_token_that_expires_within_a_transaction_counts_no_more() {
    let mut scene = Scene::set("token");
    let now = nebula_tests::issuer::now();
    let claims = with(&nebula_tests::token::claims_of(&scene.bias), &json!({ "iat": now - 60, "exp": now + 3 }));
    let presented = Presented::token(&scene.supabase.sign(&claims));
    let mut pooled = scene.supabase.postgrest();
    let mut transaction = request(&mut pooled, &presented, true);
    let mut who = || transaction.query_one(WHO, &[]).unwrap().get::<_, Option<String>>(0);
    assert_eq!(who(), Some(scene.acme.id.to_string()));
    nebula_tests::eventually("the token has expired", || who().is_none());
    transaction.commit().unwrap();
    admitted(&mut pooled, &presented, true).unwrap_err().is("PT401", "TOKEN_EXPIRED");
}

#[test]
fn what_other_logins_set_is_never_read() {
    let scene = Scene::set("claims");
    let good = Presented::token(&scene.bias);
    for login in ["postgres", "supabase_storage_admin", "supabase_admin", "supabase_replication_admin", "nebula_edge"] {
        let mut client = scene.supabase.database.connect(login);
        client
            .execute(
                "select set_config('request.jwt.claims', $1, false), set_config('request.headers', $2, false)",
                &[&good.claims.to_string(), &good.headers.to_string()],
            )
            .unwrap();
        for role in ["none", "authenticated", "authenticator"] {
            if client.batch_execute(&format!("set role {role}")).is_err() {
                continue;
            }
            // Who may not even ask is nobody.
            let who = client.query_one(WHO, &[]).map(|row| row.get::<_, Option<String>>(0)).unwrap_or_default();
            assert_eq!(who, None, "{login} as {role}");
        }
    }
}

#[test]
fn row_security_costs_no_parsing_for_each_row() {
    let scene = Scene::set("token");
    scene.supabase.database.execute(&format!(
        "insert into public.orders (tenant_id, note) select case when n % 2 = 0 then '{}'::uuid else '{}'::uuid end, 'x' from generate_series(1, 400000) n; \
         analyze public.orders",
        scene.acme.id, scene.zeta.id
    ));
    let mut pooled = scene.supabase.postgrest();
    let took = |pooled: &mut Client, trust: &str| {
        scene.supabase.dba().query_one("select nebula.set_postgrest_trust($1)", &[&trust]).unwrap();
        let mut transaction = request(pooled, &Presented::token(&scene.bias), true);
        transaction.batch_execute("set local max_parallel_workers_per_gather = 0; select nebula.current_tenant()").unwrap();
        let began = std::time::Instant::now();
        let count: i64 = transaction.query_one("select count(*) from public.orders", &[]).unwrap().get(0);
        assert_eq!(count, 200_002);
        began.elapsed()
    };
    let (claims, token) = (took(&mut pooled, "claims"), took(&mut pooled, "token"));
    println!("400,000 rows under a policy: {claims:?} with trust in the claims, {token:?} in the token");
    // Parsing claims for each row would take a hundred times as long. The machine may be busy.
    assert!(token < claims * 4 + std::time::Duration::from_secs(1), "{claims:?}, {token:?}");
}
