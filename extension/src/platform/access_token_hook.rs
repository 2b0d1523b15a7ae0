//! Supabase Auth's custom access token hook: which tenant a person's next token is for, before it is signed.
//!
//! Called within a login, as `supabase_auth_admin`, whose claims are the issuer's own word: it signs them next. Nothing here decides a right: the token
//! is verified again wherever it is presented. Source: supabase.com/docs/guides/auth/auth-hooks/custom-access-token-hook.

use crate::kernel::{
    context::{Actor, Caller, Origin},
    foreign, issuer, migrate,
    spi::{self, Arg},
    sql_caller::PLATFORM,
};
use nebula_core::{
    issuer::{Identity, Person, Profile, TenantRule, tenant_id},
    text::RequestId,
};
use serde_json::{Map, Value, json};
use std::rc::Rc;
use uuid::Uuid;

/// The claim that names the tenant, the same as in Nebula's own tokens.
const TENANT_CLAIM: &str = "tenantId";
/// An event is a few kilobytes; nobody's login waits for a larger one to be read.
const MAX_EVENT_BYTES: usize = 64 * 1024;
/// A token travels in a header, of which proxies take 8 KiB, as the edge does (`foreign_token::MAX_BYTES`). In base64 a third longer, and signed, this much
/// of claims still fits.
const MAX_CLAIMS_BYTES: usize = 5 * 1024;
/// The groups inform clients; so many, and so long together.
const MAX_GROUPS: usize = 32;
const MAX_GROUPS_BYTES: usize = 1024;
/// More tenants than a person has.
const MAX_TENANTS: usize = 200;

/// A tenant that a person belongs to.
struct Membership {
    tenant: Uuid,
    user: Uuid,
    is_linked: bool,
}

/// What to add to the claims of the event: `[{"path": […], "value": …}]`; `None`: nothing, for somebody who isn't known here, or not to one tenant.
#[must_use]
pub fn additions(event: &str) -> Option<Value> {
    if event.len() > MAX_EVENT_BYTES {
        return None;
    }
    let event: Value = serde_json::from_str(event).ok()?;
    let claims = event.get("claims")?.as_object()?;
    let subject = claims.get("sub")?.as_str()?;
    if event.get("user_id")?.as_str()? != subject {
        return None;
    }
    migrate::require_current().ok()?;
    let issuers = issuer::current();
    let profile = &issuers.get(claims.get("iss")?.as_str()?)?.profile;
    let person = profile.person(claims)?;
    let member = choose(memberships(profile, &person), profile, claims)?;
    let user = if member.is_linked { member.user } else { link(profile, person, member.tenant, &event)? };

    let tenant = json!(member.tenant);
    let mut added = vec![addition(&[TENANT_CLAIM], tenant.clone()), addition(&["nebulaUserId"], json!(user))];
    if let TenantRule::Claim(path) = &profile.tenant
        && path.as_str() != TENANT_CLAIM
    {
        added.push(addition(&path.names(), tenant));
    }
    let groups = groups(member.tenant, user);
    let size = serde_json::to_vec(claims).map_or(MAX_CLAIMS_BYTES, |text| text.len());
    let fits = size + MAX_GROUPS_BYTES <= MAX_CLAIMS_BYTES;
    added.push(addition(&["groups"], json!(if fits { groups } else { Vec::new() })));
    Some(Value::Array(added))
}

fn addition(path: &[&str], value: Value) -> Value {
    json!({ "path": path, "value": value })
}

/// Where the person is active in an active tenant: linked by the subject, or, until then, by an address that the issuer has verified.
fn memberships(profile: &Profile, person: &Person) -> Vec<Membership> {
    let read = |row: &spi::Row| Some(Membership { tenant: row.uuid(1)?, user: row.uuid(2)?, is_linked: row.boolean(3)? });
    // Each branch has an index that doesn't lead with the tenant (migration 0024): which one is meant is the question here.
    let found = spi::as_role(PLATFORM, || {
        spi::rows(
            "select m.tenant_id, m.id, m.is_linked from ( \
               select u.tenant_id, u.id, true as is_linked from nebula.user u \
               where u.external_id = $2 and u.auth_provider = $1 and u.deleted_at is null and u.status = 'ativo' \
               union all \
               select u.tenant_id, u.id, false from nebula.user u \
               where lower(u.email) collate \"C\" = lower($3) and u.auth_provider = 'internal' and u.external_id is null \
                 and u.deleted_at is null and u.status = 'ativo' \
             ) m \
             join nebula.tenant t on t.id = m.tenant_id and t.status = 'ativo' \
             order by m.is_linked desc, m.tenant_id limit $4",
            &[
                Arg::Text(&profile.issuer),
                Arg::Text(&person.subject),
                Arg::OptText(person.email.as_ref().map(nebula_core::text::Email::as_str)),
                Arg::BigInt(i64::try_from(MAX_TENANTS).unwrap_or(i64::MAX)),
            ],
            read,
        )
    });
    let mut memberships = Vec::<Membership>::new();
    for member in found.into_iter().flatten() {
        // Who is linked in a tenant is nobody else there.
        if memberships.iter().all(|known| known.tenant != member.tenant) {
            memberships.push(member);
        }
    }
    memberships
}

/// The tenant that the application prefers, by `app_metadata`, which only the service role writes, where the person belongs to it; else their only
/// one; else none. What the person can write, `user_metadata`, is not asked.
fn choose(memberships: Vec<Membership>, profile: &Profile, claims: &Map<String, Value>) -> Option<Membership> {
    let preferred = match &profile.tenant {
        TenantRule::Always(tenant) => return memberships.into_iter().find(|member| member.tenant == *tenant),
        TenantRule::Claim(path) => {
            let app_metadata = claims.get("app_metadata").and_then(|metadata| metadata.get("tenant_id"));
            // A claim that the issuer's operators write already, and this hook writes again.
            app_metadata.or_else(|| path.of(claims)).and_then(Value::as_str).and_then(tenant_id)
        }
    };
    let only = if memberships.len() == 1 { memberships.first().map(|member| member.tenant) } else { None };
    let wanted = preferred.filter(|tenant| memberships.iter().any(|member| member.tenant == *tenant)).or(only)?;
    memberships.into_iter().find(|member| member.tenant == wanted)
}

/// Links the person, as their first request would: a token is read by policies that can't.
fn link(profile: &Profile, person: Person, tenant: Uuid, event: &Value) -> Option<Uuid> {
    if !spi::may_write() {
        return None;
    }
    let of_request = |name: &str| event.get("metadata")?.get(name)?.as_str().map(str::to_owned);
    let origin = Origin {
        request_id: of_request("uuid").filter(|id| RequestId::parse(id).is_ok()).unwrap_or_else(|| Uuid::now_v7().to_string()),
        trace_id: None,
        ip: of_request("ip_address").and_then(|ip| ip.parse().ok()),
        user_agent: None,
    };
    let nobody = Caller {
        tenant,
        home: tenant,
        actor: Actor::Nobody,
        action: Rc::from("access_token_hook"),
        origin: Rc::new(origin),
        session: None,
    };
    let identity = Identity { issuer: profile.issuer.clone(), subject: person.subject, tenant, email: person.email };
    foreign::recognise(&identity, nobody)
}

/// The names of the person's active groups, as many as a header bears.
fn groups(tenant: Uuid, user: Uuid) -> Vec<String> {
    let names = spi::as_role(PLATFORM, || {
        spi::rows(
            // Each group by its key: a tenant has many that the person isn't in.
            "select g.name from nebula.user_group ug cross join lateral ( \
               select g.name from nebula.group g where g.tenant_id = $1 and g.id = ug.group_id and g.status = 'ativo' offset 0 \
             ) g where ug.tenant_id = $1 and ug.user_id = $2 order by g.name limit $3",
            &[Arg::Uuid(tenant), Arg::Uuid(user), Arg::BigInt(i64::try_from(MAX_GROUPS).unwrap_or(i64::MAX))],
            |row| row.text(1),
        )
    });
    let mut left = MAX_GROUPS_BYTES;
    // Quotes and comma are counted; an escape makes a name longer than this at worst by a factor, which `MAX_CLAIMS_BYTES` has room for.
    let fitting = |name: &String| {
        left = left.saturating_sub(name.len() + 3);
        left > 0
    };
    names.into_iter().flatten().take_while(fitting).collect()
}
