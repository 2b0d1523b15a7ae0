//! The sessions that attack, what they attack, and the judge.

use nebula_tests::{
    Supabase, Tenant,
    issuer::now,
    sql_caller::bound_login,
    supabase::{Account, Presented},
    token::with,
};
use postgres::{Client, Config, NoTls, SimpleQueryMessage};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    str::FromStr,
    sync::{Arc, Mutex},
};

/// Stands in each text of the other tenant, and in no attempt.
pub const CANARY: &str = "kanarienvogel";

/// Who attacks. All but the first are PostgREST's login, or nobody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attacker {
    /// A login that a DBA bound to a key of acme.
    Bound,
    /// PostgREST's session within a request of somebody of acme, whose query could run any SQL.
    Authenticated,
    /// The same without a token.
    Anonymous,
    /// A person with PostgREST's password.
    Authenticator,
    /// A login that may call, and is bound to nothing.
    Stranger,
}

pub const ATTACKERS: [Attacker; 5] =
    [Attacker::Bound, Attacker::Authenticated, Attacker::Anonymous, Attacker::Authenticator, Attacker::Stranger];

impl Attacker {
    /// Whether it is somebody of acme.
    pub fn is_acmes(self) -> bool {
        matches!(self, Attacker::Bound | Attacker::Authenticated)
    }
}

/// An attack: statements that are sent one after the other, each whatever became of the one before.
pub struct Attempt {
    pub name: String,
    pub steps: Vec<String>,
}

/// An attack of one statement or several.
pub fn attempt(name: &str, steps: &[&str]) -> Attempt {
    Attempt { name: name.to_owned(), steps: steps.iter().map(|step| (*step).to_owned()).collect() }
}

/// Two tenants with people, and an application's tables with rows of both.
pub struct Arena {
    pub supabase: Supabase,
    pub acme: Tenant<String>,
    pub zeta: Tenant<String>,
    pub bound: String,
    pub stranger: String,
    pub token: String,
    /// Of somebody of the other tenant, with a signature of nobody's; everything else of it is right.
    pub forged: String,
    pub forged_claims: Value,
    /// What the words in braces of an attempt mean.
    words: Vec<(&'static str, String)>,
    before: BTreeMap<String, String>,
    tried: usize,
    leaks: Vec<String>,
}

/// The application's: one policy, forced, as the contract has it; everything else is granted to everybody.
const APPLICATION: &str = "
create table public.orders (
  tenant_id uuid not null default nebula.current_tenant(), id uuid not null default gen_random_uuid(), note text not null, amount integer not null default 1,
  primary key (tenant_id, id), unique (tenant_id, note));
create table public.line (
  tenant_id uuid not null default nebula.current_tenant(), id uuid not null default gen_random_uuid(), order_id uuid not null, note text,
  primary key (tenant_id, id), foreign key (tenant_id, order_id) references public.orders (tenant_id, id) on delete cascade);
create table public.event (tenant_id uuid not null default nebula.current_tenant(), at date not null, note text) partition by range (at);
create table public.event_2026 partition of public.event for values from ('2026-01-01') to ('2027-01-01');
create table public.event_rest partition of public.event default;
create table public.parent (tenant_id uuid not null default nebula.current_tenant(), note text);
create table public.child (extra text) inherits (public.parent);
create view public.orders_view with (security_invoker) as select * from public.orders;
create function public.total() returns bigint language sql stable as 'select count(*) from public.orders';
do $$
declare
  t text;
begin
  foreach t in array array['orders', 'line', 'event', 'event_2026', 'event_rest', 'parent', 'child'] loop
    execute format('alter table public.%I enable row level security', t);
    execute format('alter table public.%I force row level security', t);
    execute format('create policy tenant on public.%I using (tenant_id = nebula.current_tenant()) with check (tenant_id = nebula.current_tenant())', t);
  end loop;
end
$$;
grant usage, create on schema public to nebula_app, authenticated, anon;
-- Four verbs. Supabase's default privileges give three more, which row security doesn't bind: truncate empties every tenant's table, references tells of keys,
-- a trigger sees what others write.
revoke all on all tables in schema public from nebula_app, authenticated, anon;
grant select, insert, update, delete on all tables in schema public to nebula_app, authenticated, anon, authenticator;
";

impl Arena {
    pub fn new() -> Self {
        let mut supabase = Supabase::with_auth();
        let (acme, zeta) = (supabase.tenant("acme"), supabase.tenant("zeta"));
        supabase.person(&acme, "bia@acme.example", &["ADM_CLIENTE"]);
        supabase.person(&zeta, &format!("{CANARY}@zeta.example"), &["ADM_CLIENTE"]);
        let token = supabase.log_in_member(&Account::new("bia@acme.example"));
        let zoe = Account::new(&format!("{CANARY}@zeta.example"));
        let forged_claims = supabase.hook(&zoe.event())["claims"].clone();
        let forged = supabase.jose.sign_with_secret(&"x".repeat(40), &json!({ "alg": "HS256", "typ": "JWT" }), &forged_claims);
        let bound = bound_login(&supabase.database, &acme, &json!({ "name": "app", "profile": "admin" }));
        zeta.key(&mut supabase.database.handle(), &json!({ "name": CANARY, "profile": "admin" }));
        let stranger = format!("stranger_{}", supabase.database.name);
        supabase.database.execute(&format!("create role {stranger} login; grant nebula_app to {stranger}"));
        supabase.dba().batch_execute(APPLICATION).unwrap();
        let mut rows = String::new();
        for (tenant, word) in [(&acme, "acme"), (&zeta, CANARY)] {
            rows += &format!(
                "insert into public.orders (tenant_id, note, amount) select '{0}', '{word} ' || n, case '{word}' when 'acme' then n else 999 end from generate_series(1, 3) n; \
                 insert into public.line (tenant_id, order_id, note) select tenant_id, id, note from public.orders where tenant_id = '{0}'; \
                 insert into public.event values ('{0}', '2026-05-01', '{word} event'), ('{0}', '2030-01-01', '{word} late'); \
                 insert into public.parent values ('{0}', '{word} parent'); insert into public.child values ('{0}', '{word} child', '{word}'); ",
                tenant.id
            );
        }
        supabase.database.execute(&format!("{rows} analyze"));
        supabase.dba().query_one("select nebula.set_postgrest_trust('token')", &[]).unwrap();
        let ask = |sql: &str| supabase.database.text(sql, &[&zeta.id]);
        let words = vec![
            ("{zeta}", zeta.id.to_string()),
            ("{acme}", acme.id.to_string()),
            ("{zetas_order}", ask("select id::text from public.orders where tenant_id = $1 order by note limit 1")),
            ("{zetas_admin}", zeta.admin_id.to_string()),
            ("{zetas_key}", ask("select id::text from nebula.api_key where tenant_id = $1 limit 1")),
            ("{zetas_session}", ask("select id::text from nebula.session where tenant_id = $1 limit 1")),
            ("{claims}", forged_claims.to_string().replace(CANARY, "k")),
            ("{headers}", json!({ "authorization": format!("Bearer {forged}") }).to_string()),
            ("{own_claims}", with(&nebula_tests::token::claims_of(&zeta.admin), &json!({ "exp": now() + 900 })).to_string()),
        ];
        let mut arena = Self {
            supabase,
            acme,
            zeta,
            bound,
            stranger,
            token,
            forged,
            forged_claims,
            words,
            before: BTreeMap::new(),
            tried: 0,
            leaks: Vec::new(),
        };
        arena.before = arena.state();
        arena
    }

    /// Digests of everything that an attack may not change: rows of the other tenant and of none, functions, policies, privileges, roles.
    fn state(&self) -> BTreeMap<String, String> {
        let database = &self.supabase.database;
        let mut state = BTreeMap::new();
        let tables = database.texts(
            "select c.oid::regclass || case when exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped) \
               then ' t where coalesce(t.tenant_id::text, '''') <> ''' || $1 || '''' else ' t' end \
             from pg_class c where c.relnamespace in ('nebula'::regnamespace, 'public'::regnamespace) and c.relkind in ('r', 'p') and not c.relispartition \
               and (c.relnamespace = 'nebula'::regnamespace or c.relname in ('orders', 'line', 'event', 'parent')) \
               and c.relname not in ('rate_limit', 'gathered_usage', 'usage_metrics', 'login_failure', 'installation', 'tenant') order by 1",
            &[&self.acme.id.to_string()],
        );
        let mut superuser = database.superuser();
        for table in tables {
            let sql = format!("select count(*) || coalesce(md5(string_agg(t::text, '|' order by t::text)), '') from {table}");
            state.insert(table.clone(), superuser.query_one(&sql, &[]).unwrap().get(0));
        }
        for (name, sql) in [
            (
                "functions",
                "select md5(string_agg(p.oid::regprocedure::text || p.proowner || coalesce(p.proacl::text, '') || p.prosrc || coalesce(p.proconfig::text, ''), '|' order by p.oid)) from pg_proc p where p.pronamespace = 'nebula'::regnamespace",
            ),
            ("policies", "select md5(string_agg(p::text, '|' order by p::text)) from pg_policies p"),
            (
                "tables",
                "select md5(string_agg(c.oid::regclass::text || c.relowner || c.relrowsecurity || c.relforcerowsecurity || coalesce(c.relacl::text, ''), '|' order by c.oid)) from pg_class c where c.relnamespace in ('nebula'::regnamespace, 'public'::regnamespace) and c.relkind in ('r', 'p', 'v') and c.relowner in ('nebula_owner'::regrole, 'postgres'::regrole)",
            ),
            (
                "roles",
                "select md5(string_agg(r::text, '|' order by r.rolname)) from (select rolname, rolsuper, rolbypassrls, rolcreaterole, rolcanlogin from pg_roles where rolname !~ '_test_') r",
            ),
            (
                "members",
                "select md5(string_agg(m.roleid::text || ' ' || m.member, '|' order by m.roleid, m.member)) from pg_auth_members m join pg_roles r on r.oid = m.roleid where r.rolname in ('nebula_owner', 'nebula_platform', 'nebula_edge', 'nebula_worker', 'nebula_keys', 'service_role', 'postgres', 'supabase_admin')",
            ),
            ("trust", "select postgrest_trust || issuer || audience from nebula.installation"),
        ] {
            state.insert(name.to_owned(), superuser.query_one(sql, &[]).unwrap().get(0));
        }
        state
    }

    /// A session of this attacker's, with what the server tells it besides rows.
    pub fn session(&self, attacker: Attacker) -> (Client, Arc<Mutex<Vec<String>>>) {
        let login = match attacker {
            Attacker::Bound => &self.bound,
            Attacker::Stranger => &self.stranger,
            _ => "authenticator",
        };
        let notices = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&notices);
        let mut config = Config::from_str(&self.supabase.database.url(login)).unwrap();
        config.notice_callback(move |notice| heard.lock().unwrap().push(format!("{notice:?}")));
        (config.connect(NoTls).unwrap(), notices)
    }

    /// What begins the session: PostgREST's request, for those who come that way.
    pub fn prologue(&self, attacker: Attacker) -> Option<String> {
        let presented = match attacker {
            Attacker::Authenticated => Presented::token(&self.token),
            Attacker::Anonymous => Presented::anon(),
            _ => return None,
        };
        let quoted = |value: &Value| value.to_string().replace('\'', "''");
        Some(format!(
            "begin; select set_config('role', '{}', true), set_config('request.jwt.claims', '{}', true), set_config('request.headers', '{}', true)",
            presented.role,
            quoted(&presented.claims),
            quoted(&presented.headers)
        ))
    }

    /// Makes an attempt, and then asks what the session sees by now.
    pub fn make(&mut self, attacker: Attacker, attempt: &Attempt) {
        self.tried += 1;
        let name = format!("{attacker:?}: {}", attempt.name);
        let (mut client, notices) = self.session(attacker);
        let mut heard = Vec::new();
        let in_request = self.prologue(attacker).is_some_and(|prologue| send(&mut client, &mut heard, &prologue));
        for step in &attempt.steps {
            let step = self.words.iter().fold(step.clone(), |step, (word, value)| step.replace(word, &value.replace('\'', "''")));
            if in_request {
                // An error doesn't end the request: what was won before it is kept. Where the attack has ended the transaction this fails, and does nothing.
                send(&mut client, &mut heard, "savepoint step");
            }
            if !send(&mut client, &mut heard, &step) && in_request {
                send(&mut client, &mut heard, "rollback to savepoint step");
            }
        }
        // What does it see by now, as whoever it has become? A step may repeat an id that it was given; an answer to these may not.
        let steps = heard.len();
        for probe in [
            "select note from public.orders",
            "select note from public.line",
            "select note from public.event",
            "select note from public.event_2026",
            "select note from public.parent",
            "select note from public.orders_view",
            "select case when public.total() > 10 then 'kanarien' || 'vogel counted' end",
            "select nebula.current_tenant(), nebula.current_actor()",
            "select nebula.call('users.list'), nebula.call('api_keys.list')",
        ] {
            if in_request {
                send(&mut client, &mut heard, "savepoint step");
            }
            if !send(&mut client, &mut heard, probe) && in_request {
                send(&mut client, &mut heard, "rollback to savepoint step");
            }
        }
        send(&mut client, &mut heard, "commit");
        drop(client);
        heard.extend(notices.lock().unwrap().drain(..));
        let zeta = self.zeta.id.to_string();
        let leak = heard.iter().find(|text| text.contains(CANARY)).or_else(|| heard.iter().skip(steps).find(|text| text.contains(&zeta)));
        if let Some(leak) = leak {
            self.leaks.push(format!("{name}: saw {leak}"));
        }
        let nobody_became_somebody = !attacker.is_acmes() && heard.iter().any(|text| text.contains("acme 1"));
        if nobody_became_somebody {
            self.leaks.push(format!("{name}: nobody saw a tenant's rows"));
        }
    }

    /// What was changed since the last time that may not be.
    pub fn look(&mut self, attempt: &str) {
        let after = self.state();
        for (what, digest) in &after {
            if self.before.get(what) != Some(digest) {
                self.leaks.push(format!("{attempt}: changed {what}"));
            }
        }
        self.before = after;
    }

    /// How many rows a statement touches within the attacker's session, rolled back; `None` where it is refused.
    pub fn within(&self, attacker: Attacker, client: &mut Client, sql: &str) -> Option<i64> {
        let prologue = self.prologue(attacker).unwrap_or_else(|| "begin".to_owned());
        client.batch_execute(&prologue).unwrap();
        let touched = client.execute(sql, &[]).ok().map(|count| i64::try_from(count).unwrap());
        client.batch_execute("rollback").unwrap();
        touched
    }

    /// Every attempt by everybody, and after each a look at the rest of the world.
    pub fn make_all(&mut self, attempts: &[Attempt]) {
        for attempt in attempts {
            for attacker in ATTACKERS {
                self.make(attacker, attempt);
            }
            self.look(&attempt.name);
        }
    }

    /// The verdict: how many attempts, and that none of them won anything.
    #[track_caller]
    pub fn judge(self, family: &str, least: usize) {
        eprintln!("B3 {family}: {} attempts, {} leaks", self.tried, self.leaks.len());
        assert!(self.leaks.is_empty(), "{:#?}", self.leaks);
        assert!(self.tried >= least, "{} attempts", self.tried);
    }
}

/// Sends a statement; what comes back is heard, and whether it worked.
fn send(client: &mut Client, heard: &mut Vec<String>, sql: &str) -> bool {
    match client.simple_query(sql) {
        Ok(messages) => {
            for message in messages {
                if let SimpleQueryMessage::Row(row) = message {
                    heard.push((0..row.len()).map(|at| row.get(at).unwrap_or("")).collect::<Vec<_>>().join(" "));
                }
            }
            true
        }
        Err(error) => {
            heard.push(format!("{error:?}"));
            false
        }
    }
}

#[test]
fn the_judge_sees_a_leak_and_a_change_and_the_attackers_see_their_own() {
    let mut arena = Arena::new();
    // A policy that lets everybody see everything: what a mistake in the product would look like.
    arena.supabase.dba().batch_execute("create policy open on public.orders using (true) with check (true)").unwrap();
    arena.before = arena.state();
    arena.make(Attacker::Stranger, &attempt("a look", &["select 1"]));
    assert!(arena.leaks.iter().any(|leak| leak.contains("saw")), "{:?}", arena.leaks);
    arena.leaks.clear();
    arena.make(Attacker::Bound, &attempt("a change", &["update public.orders set amount = 1000 where true"]));
    arena.look("a change");
    assert!(arena.leaks.iter().any(|leak| leak.contains("changed orders")), "{:?}", arena.leaks);
    arena.supabase.dba().batch_execute("drop policy open on public.orders").unwrap();
    for attacker in ATTACKERS {
        let (mut client, _) = arena.session(attacker);
        if let Some(prologue) = arena.prologue(attacker) {
            client.batch_execute(&prologue).unwrap();
        }
        let seen = client.query("select note from public.orders order by note", &[]);
        let seen = seen.map(|rows| rows.iter().map(|row| row.get(0)).collect::<Vec<String>>()).unwrap_or_default();
        let expected: &[&str] = if attacker.is_acmes() { &["acme 1", "acme 2", "acme 3"] } else { &[] };
        assert_eq!(seen, expected, "{attacker:?}");
    }
}
