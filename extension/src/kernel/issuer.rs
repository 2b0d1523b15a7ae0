//! Other issuers of tokens: what a DBA has registered, kept in memory like rights, and the functions that register.

use super::{
    spi::{self, Arg},
    sql_caller::{OWNER, PLATFORM},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use nebula_core::{
    foreign_token::{Keys, SECRET_BYTES},
    issuer::{Algorithm, ClaimPath, Config, EmailRule, Profile, TenantRule},
    jwk,
};
use serde_json::{Map, Value, json};
use std::{cell::RefCell, collections::HashMap, rc::Rc};
use uuid::Uuid;

/// The login that may do nothing but keep the keys fresh of issuers that publish theirs.
const KEYS_LOGIN: &str = "nebula_keys";

/// An active issuer: what its tokens look like, and what verifies them.
#[derive(Debug)]
pub struct Issuer {
    pub profile: Profile,
    pub keys: Keys,
}

type Issuers = HashMap<String, Issuer>;

thread_local! {
    static CACHE: RefCell<Option<(u64, Rc<Issuers>)>> = const { RefCell::new(None) };
}

/// The active issuers by name, as of now. A changed or removed one, or key, changes the generation.
#[must_use]
pub fn current() -> Rc<Issuers> {
    let generation = spi::global_rights_generation();
    if let Some(known) = CACHE.with_borrow(|cache| cache.as_ref().filter(|(g, _)| *g == generation).map(|(_, i)| Rc::clone(i))) {
        return known;
    }
    let issuers = Rc::new(spi::as_role(OWNER, || spi::reading_latest(load)));
    if spi::global_rights_generation() == generation && !spi::is_parallel() {
        CACHE.set(Some((generation, Rc::clone(&issuers))));
    }
    issuers
}

fn load() -> Issuers {
    let mut issuers = spi::rows(
        "select issuer, audience, array_to_string(algorithms, ','), tenant_claim, fixed_tenant_id, email_claim, email_verified_claim, trusts_email, \
         max_lifetime_seconds from nebula.issuer where status = 'ativo'",
        &[],
        |row| {
            // What was checked when it was registered; a row that somebody wrote past that is left out and verifies nothing.
            let path = |text: String| ClaimPath::try_from(text).ok();
            let tenant = match (row.text(4), row.uuid(5)) {
                (Some(claim), None) => TenantRule::Claim(path(claim)?),
                (None, Some(tenant)) => TenantRule::Always(tenant),
                _ => return None,
            };
            let address = path(row.text(6)?)?;
            let email = match (row.text(7), row.boolean(8)?) {
                (Some(verified), false) => EmailRule::Where(address, path(verified)?),
                (None, true) => EmailRule::Always(address),
                _ => EmailRule::Never,
            };
            let profile = Profile {
                issuer: row.text(1)?,
                audience: row.text(2)?,
                algorithms: names(row.text(3)?).iter().filter_map(|name| Algorithm::named(name)).collect(),
                tenant,
                email,
                max_lifetime_seconds: i64::from(row.integer(9)?),
            };
            Some((profile.issuer.clone(), Issuer { profile, keys: Keys::default() }))
        },
    )
    .into_iter()
    .flatten()
    .collect::<Issuers>();
    spi::rows(
        "select i.issuer, k.kid, k.alg, k.public_key, k.secret from nebula.issuer_key k join nebula.issuer i on i.id = k.issuer_id where i.status = 'ativo'",
        &[],
        |row| {
            let issuer = issuers.get_mut(&row.text(1)?)?;
            match (row.text(2), Algorithm::named(&row.text(3)?)?, row.bytes(4), row.bytes(5)) {
                (None, Algorithm::Hs256, None, Some(secret)) => issuer.keys.set_secret(secret),
                (Some(kid), algorithm, Some(der), None) if algorithm != Algorithm::Hs256 => issuer.keys.add(kid, algorithm, der),
                _ => {}
            }
            Some(())
        },
    );
    issuers
}

/// Algorithms as SQL joined them.
fn names(joined: String) -> Vec<String> {
    joined.split(',').map(str::to_owned).collect()
}

/// What the edge must know to refuse a bad token at no cost: public keys and where the tenant stands. No secret, no URL, nothing of e-mail.
#[must_use]
pub fn for_edge() -> Vec<Value> {
    let mut keys: HashMap<Uuid, Vec<Value>> = HashMap::new();
    spi::rows("select issuer_id, kid, alg, public_key from nebula.issuer_key where public_key is not null order by kid", &[], |row| {
        let key = json!({ "kid": row.text(2), "alg": row.text(3), "publicKey": row.bytes(4).map(|der| STANDARD.encode(der)) });
        keys.entry(row.uuid(1)?).or_default().push(key);
        Some(())
    });
    spi::rows(
        "select id, issuer, audience, array_to_string(algorithms, ','), tenant_claim, fixed_tenant_id, max_lifetime_seconds \
         from nebula.issuer where status = 'ativo' order by issuer",
        &[],
        |row| {
            let mut issuer = Map::new();
            issuer.insert("issuer".to_owned(), json!(row.text(2)));
            issuer.insert("audience".to_owned(), json!(row.text(3)));
            issuer.insert("algorithms".to_owned(), json!(row.text(4).map(names)));
            match row.uuid(6) {
                Some(tenant) => issuer.insert("tenantId".to_owned(), json!(tenant)),
                None => issuer.insert("tenantClaim".to_owned(), json!(row.text(5))),
            };
            issuer.insert("maxLifetimeSeconds".to_owned(), json!(row.integer(7)));
            issuer.insert("keys".to_owned(), json!(row.uuid(1).and_then(|id| keys.remove(&id)).unwrap_or_default()));
            Value::Object(issuer)
        },
    )
}

/// `nebula.issuer_state`: every issuer, for people and for who fetches keys.
#[must_use]
pub fn state() -> String {
    spi::text(
        "select coalesce(json_agg(json_build_object( \
           'issuer', i.issuer, 'status', i.status, 'audience', i.audience, 'algorithms', i.algorithms, 'jwksUrl', i.jwks_url, \
           'kids', (select coalesce(json_agg(k.kid order by k.kid), '[]') from nebula.issuer_key k where k.issuer_id = i.id and k.kid is not null), \
           'hasSecret', exists (select from nebula.issuer_key k where k.issuer_id = i.id and k.secret is not null) \
         ) order by i.issuer), '[]')::text from nebula.issuer i",
        &[],
    )
    .unwrap_or_else(|| "[]".to_owned())
}

/// What a registering function refuses, as SQLSTATE and sentence.
#[derive(Debug)]
pub enum Refused {
    /// 22023
    Invalid(String),
    /// 42501
    NotYours,
}

type Result<T> = std::result::Result<T, Refused>;

fn invalid<T>(reason: impl Into<String>) -> Result<T> {
    Err(Refused::Invalid(reason.into()))
}

/// `nebula.register_issuer`: whether anything was changed.
pub fn register(config: &str) -> Result<bool> {
    let config = Config::parse(config).map_err(|refused| Refused::Invalid(refused.to_string()))?;
    if config.issuer.as_str() == super::installation::current().issuer {
        return invalid("issuer: this installation's own");
    }
    if let Some(tenant) = config.tenant_id {
        let find = || spi::first("select true from nebula.tenant where id = $1", &[Arg::Uuid(tenant)], |_| ()).is_some();
        if !spi::as_role(PLATFORM, find) {
            return invalid("tenantId: there is no such tenant");
        }
    }
    let algorithms = config.algorithms.iter().map(|algorithm| algorithm.as_str().to_owned()).collect::<Vec<_>>();
    let name = config.issuer.as_str();
    let changed = spi::run(
        "insert into nebula.issuer as i (issuer, audience, jwks_url, algorithms, tenant_claim, fixed_tenant_id, email_claim, email_verified_claim, \
           trusts_email, max_lifetime_seconds, status) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::nebula.status) \
         on conflict (issuer) do update set audience = excluded.audience, jwks_url = excluded.jwks_url, algorithms = excluded.algorithms, \
           tenant_claim = excluded.tenant_claim, fixed_tenant_id = excluded.fixed_tenant_id, email_claim = excluded.email_claim, \
           email_verified_claim = excluded.email_verified_claim, trusts_email = excluded.trusts_email, \
           max_lifetime_seconds = excluded.max_lifetime_seconds, status = excluded.status \
         where (i.audience, i.jwks_url, i.algorithms, i.tenant_claim, i.fixed_tenant_id, i.email_claim, i.email_verified_claim, i.trusts_email, \
             i.max_lifetime_seconds, i.status) \
           is distinct from (excluded.audience, excluded.jwks_url, excluded.algorithms, excluded.tenant_claim, excluded.fixed_tenant_id, \
             excluded.email_claim, excluded.email_verified_claim, excluded.trusts_email, excluded.max_lifetime_seconds, excluded.status)",
        &[
            Arg::Text(name),
            Arg::Text(config.audience.as_str()),
            Arg::OptText(config.jwks_url.as_ref().map(|url| url.as_str())),
            Arg::Texts(&algorithms),
            Arg::OptText(config.tenant_claim.as_ref().map(ClaimPath::as_str)),
            Arg::OptUuid(config.tenant_id),
            Arg::Text(config.email_claim.as_str()),
            Arg::OptText(config.email_verified_claim.as_ref().map(ClaimPath::as_str)),
            Arg::Bool(config.trusts_email),
            Arg::Int(config.max_lifetime_seconds),
            Arg::Text(if config.is_active { "ativo" } else { "suspenso" }),
        ],
    );
    // A secret that is good for nothing any more is not kept.
    let dropped = spi::run(
        "delete from nebula.issuer_key k using nebula.issuer i where i.issuer = $1 and k.issuer_id = i.id and k.alg <> all (i.algorithms)",
        &[Arg::Text(name)],
    );
    Ok(announced(changed + dropped) > 0)
}

/// An issuer as its keys' owner: found, and locked so that two who replace them don't mix theirs.
struct Registered {
    id: Uuid,
    algorithms: Vec<String>,
    publishes: bool,
}

fn find(issuer: &str) -> Result<Registered> {
    let found = spi::first(
        "select id, array_to_string(algorithms, ','), jwks_url is not null and status = 'ativo' from nebula.issuer where issuer = $1 for update",
        &[Arg::Text(issuer)],
        |row| Some(Registered { id: row.uuid(1)?, algorithms: names(row.text(2)?), publishes: row.boolean(3)? }),
    );
    found.flatten().ok_or_else(|| Refused::Invalid("there is no such issuer".to_owned()))
}

/// `nebula.replace_issuer_keys`: how many keys were added, changed or removed. Nothing is written where nothing differs.
pub fn replace_keys(issuer: &str, jwks: &str) -> Result<i32> {
    let keys = jwk::parse_set(jwks).map_err(|refused| Refused::Invalid(refused.to_string()))?;
    let issuer = find(issuer)?;
    if !issuer.publishes && spi::session_user() == KEYS_LOGIN {
        // Keys that a DBA registered by hand are the DBA's.
        return Err(Refused::NotYours);
    }
    let keys = keys.into_iter().filter(|key| issuer.algorithms.iter().any(|name| name == key.algorithm.as_str())).collect::<Vec<_>>();
    let kids = keys.iter().map(|key| key.kid.clone()).collect::<Vec<_>>();
    let mut changed = spi::run(
        "delete from nebula.issuer_key where issuer_id = $1 and kid is not null and kid <> all ($2)",
        &[Arg::Uuid(issuer.id), Arg::Texts(&kids)],
    );
    for key in &keys {
        changed += spi::run(
            "insert into nebula.issuer_key as k (issuer_id, kid, alg, public_key) values ($1, $2, $3, $4) \
             on conflict (issuer_id, kid) do update set alg = excluded.alg, public_key = excluded.public_key \
             where (k.alg, k.public_key) is distinct from (excluded.alg, excluded.public_key)",
            &[Arg::Uuid(issuer.id), Arg::Text(&key.kid), Arg::Text(key.algorithm.as_str()), Arg::Bytes(&key.der)],
        );
    }
    Ok(i32::try_from(announced(changed)).unwrap_or(i32::MAX))
}

/// `nebula.set_issuer_secret`: whether it was another before.
pub fn set_secret(issuer: &str, secret: &str) -> Result<bool> {
    let issuer = find(issuer)?;
    if !issuer.algorithms.iter().any(|name| name == Algorithm::Hs256.as_str()) {
        return invalid("the issuer is not configured for HS256");
    }
    if !SECRET_BYTES.contains(&secret.len()) {
        return invalid("a secret has 32 to 1024 bytes");
    }
    let changed = spi::run(
        "insert into nebula.issuer_key as k (issuer_id, alg, secret) values ($1, 'HS256', $2) \
         on conflict (issuer_id) where kid is null do update set secret = excluded.secret where k.secret is distinct from excluded.secret",
        &[Arg::Uuid(issuer.id), Arg::Bytes(secret.as_bytes())],
    );
    Ok(announced(changed) > 0)
}

/// `nebula.remove_issuer`: whether there was one.
#[must_use]
pub fn remove(issuer: &str) -> bool {
    spi::run("delete from nebula.issuer_key k using nebula.issuer i where i.issuer = $1 and k.issuer_id = i.id", &[Arg::Text(issuer)]);
    announced(spi::run("delete from nebula.issuer where issuer = $1", &[Arg::Text(issuer)])) > 0
}

/// Tells the edges at once, where something was changed; they would notice within their interval.
fn announced(changed: u64) -> u64 {
    if changed > 0 {
        spi::run("select pg_notify('nebula_changed', '')", &[]);
    }
    changed
}
