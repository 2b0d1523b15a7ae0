//! Other issuers of tokens, as a DBA configures them: who they are, what their tokens look like, and where they say which tenant and person is meant.

use crate::{
    object::Object,
    text::{Email, Rule},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt;
use uuid::Uuid;

/// The longest life of a token that can be configured, in seconds: a week, the longest that Supabase Auth can be set to.
pub const MAX_LIFETIME_SECONDS: i32 = 604_800;
const DEFAULT_LIFETIME_SECONDS: i32 = 86_400;

/// What a signature may be made with (contract, section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Algorithm {
    #[serde(rename = "RS256")]
    Rs256,
    #[serde(rename = "ES256")]
    Es256,
    #[serde(rename = "EdDSA")]
    EdDsa,
    /// With the issuer's own shared secret, as older Supabase installations have.
    #[serde(rename = "HS256")]
    Hs256,
}

impl Algorithm {
    pub const ALL: [Self; 4] = [Self::Rs256, Self::Es256, Self::EdDsa, Self::Hs256];

    /// Its name in `alg` (RFC 7518, RFC 8037).
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
            Self::Hs256 => "HS256",
        }
    }

    /// The algorithm of a name; there is one spelling.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }
}

macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = Rule;
            fn try_from(text: String) -> Result<Self, Rule> {
                let check: fn(&str) -> Result<(), Rule> = $check;
                check(&text).map(|()| Self(text))
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }
    };
}

/// Visible ASCII of at most `max` bytes.
fn visible(text: &str, max: usize) -> Result<(), Rule> {
    if text.is_empty() {
        Err(Rule("empty"))
    } else if text.len() > max {
        Err(Rule("too_long"))
    } else if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(())
    } else {
        Err(Rule("visible_ascii"))
    }
}

checked_text! {
    /// The value of `iss`, or one of `aud`: 1 to 255 visible ASCII characters, compared as they are.
    Identifier, |text| visible(text, 255)
}

checked_text! {
    /// Where a claim stands: names joined by dots (`app_metadata.tenantId`), or one name that holds a slash (`https://example.com/tenant`).
    ///
    /// What a person may write into their own profile proves nothing, so a path into Supabase's `user_metadata` is refused.
    ClaimPath, |text| {
        visible(text, 255)?;
        if text.contains('/') {
            return Ok(());
        }
        let names = text.split('.').collect::<Vec<_>>();
        if names.len() > 8 || names.iter().any(|name| name.is_empty()) {
            return Err(Rule("claim_path"));
        }
        match names.first() {
            Some(&("user_metadata" | "raw_user_meta_data")) => Err(Rule("editable_by_the_user")),
            _ => Ok(()),
        }
    }
}

impl ClaimPath {
    /// The names on the way to the value.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        if self.0.contains('/') { vec![&self.0] } else { self.0.split('.').collect() }
    }

    fn named(name: &'static str) -> Self {
        Self(name.to_owned())
    }

    /// The value at the path.
    #[must_use]
    pub fn of<'a>(&self, claims: &'a Map<String, Value>) -> Option<&'a Value> {
        let names = self.names();
        let (first, rest) = names.split_first()?;
        rest.iter().try_fold(claims.get(*first)?, |value, name| value.as_object()?.get(*name))
    }
}

checked_text! {
    /// Where an issuer publishes its keys: `https`, or `http` of a loopback address, which the edge only follows where a setting allows it.
    /// Without user, password or fragment; up to 2,000 visible ASCII characters.
    JwksUrl, |text| {
        visible(text, 2000)?;
        let (scheme, rest) = text.split_once("://").ok_or(Rule("url"))?;
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        if authority.is_empty() || authority.contains(['@', '\\']) || text.contains('#') {
            return Err(Rule("url"));
        }
        let is_loopback = ["127.0.0.1", "[::1]", "localhost"].iter().any(|host| {
            authority.strip_prefix(host).is_some_and(|port| port.is_empty() || port.starts_with(':'))
        });
        match scheme {
            "https" => Ok(()),
            "http" if is_loopback => Ok(()),
            _ => Err(Rule("https")),
        }
    }
}

impl JwksUrl {
    /// Not `https`, hence of a loopback address.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        !self.0.starts_with("https://")
    }
}

/// Why a configuration was refused, for the DBA who wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(String);

/// What `nebula.register_issuer` takes: these members and no other.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// The exact value of `iss`.
    pub issuer: Identifier,
    /// What `aud` must be or contain.
    pub audience: Identifier,
    /// Absent for an issuer whose keys are registered by hand, or that has a shared secret alone.
    pub jwks_url: Option<JwksUrl>,
    pub algorithms: Vec<Algorithm>,
    /// The claim that holds the tenant's id; or `tenant_id`, for an issuer all of whose users are one tenant's.
    pub tenant_claim: Option<ClaimPath>,
    pub tenant_id: Option<Uuid>,
    #[serde(default = "default_email_claim")]
    pub email_claim: ClaimPath,
    /// The claim that is true where the address was verified.
    pub email_verified_claim: Option<ClaimPath>,
    /// Whether the issuer verifies every address before it puts it into a token.
    #[serde(default)]
    pub trusts_email: bool,
    #[serde(default = "default_lifetime")]
    pub max_lifetime_seconds: i32,
    /// `false` suspends the issuer: nothing that it signs counts.
    #[serde(default = "default_is_active")]
    pub is_active: bool,
}

fn default_email_claim() -> ClaimPath {
    ClaimPath::named("email")
}

fn default_lifetime() -> i32 {
    DEFAULT_LIFETIME_SECONDS
}

fn default_is_active() -> bool {
    true
}

impl Config {
    /// Reads a configuration; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        let Object(config) = serde_json::from_str::<Object<Self>>(text).map_err(|error| Refused(error.to_string()))?;
        let refused = |reason: &str| Err(Refused(reason.to_owned()));
        if config.issuer.as_str() == "internal" {
            // What `user.auth_provider` says of people who have a password here.
            return refused("issuer: internal is reserved");
        }
        if config.algorithms.is_empty()
            || Algorithm::ALL.iter().any(|one| config.algorithms.iter().filter(|other| *other == one).count() > 1)
        {
            return refused("algorithms: one to four, each once");
        }
        if config.tenant_claim.is_some() == config.tenant_id.is_some() {
            return refused("either tenantClaim or tenantId says which tenant is meant");
        }
        if config.trusts_email && config.email_verified_claim.is_some() {
            return refused("either trustsEmail or emailVerifiedClaim, not both");
        }
        if !(60..=MAX_LIFETIME_SECONDS).contains(&config.max_lifetime_seconds) {
            return refused("maxLifetimeSeconds: 60 to 604800");
        }
        if config.jwks_url.is_some() && config.algorithms == [Algorithm::Hs256] {
            return refused("jwksUrl: a shared secret is not published");
        }
        Ok(config)
    }
}

/// Which tenant a token is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TenantRule {
    Claim(ClaimPath),
    Always(Uuid),
}

/// Whether the address in a token counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EmailRule {
    Never,
    Always(ClaimPath),
    /// Where the second claim says so.
    Where(ClaimPath, ClaimPath),
}

/// What a reader of an issuer's tokens must know, but for the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    pub issuer: String,
    pub audience: String,
    pub algorithms: Vec<Algorithm>,
    pub tenant: TenantRule,
    pub email: EmailRule,
    pub max_lifetime_seconds: i64,
}

/// Who a token is about, in the issuer's words.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    pub issuer: String,
    pub subject: String,
    pub tenant: Uuid,
    /// Only an address that the issuer has verified.
    pub email: Option<Email>,
}

/// Somebody of an issuer, of whom it isn't known yet which tenant is meant. No `Debug`: both are personal.
pub struct Person {
    pub subject: String,
    /// Only an address that the issuer has verified.
    pub email: Option<Email>,
}

// Subject and address are personal.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("issuer", &self.issuer).field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

impl Profile {
    /// Who the claims are about; `None` where they are not this issuer's, not for this audience, or don't say it. Whether they are true (signature,
    /// times) was asked before.
    #[must_use]
    pub fn identify(&self, claims: &Map<String, Value>) -> Option<Identity> {
        let person = self.person(claims)?;
        let tenant = match &self.tenant {
            TenantRule::Always(tenant) => *tenant,
            TenantRule::Claim(path) => tenant_id(path.of(claims)?.as_str()?)?,
        };
        Some(Identity { issuer: self.issuer.clone(), subject: person.subject, tenant, email: person.email })
    }

    /// The same before a tenant is known: what the issuer says of somebody whose token it is about to sign.
    #[must_use]
    pub fn person(&self, claims: &Map<String, Value>) -> Option<Person> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        if text("iss") != Some(self.issuer.as_str()) || !self.is_audience(claims.get("aud")?) {
            return None;
        }
        let subject = text("sub").filter(|subject| (1..=255).contains(&subject.len()) && !subject.contains(char::is_control))?;
        Some(Person { subject: subject.to_owned(), email: self.email_of(claims) })
    }

    /// RFC 7519, section 4.1.3: one text, or a list of them.
    fn is_audience(&self, audience: &Value) -> bool {
        match audience {
            Value::String(one) => *one == self.audience,
            Value::Array(several) => {
                several.iter().all(Value::is_string) && several.iter().any(|one| one.as_str() == Some(self.audience.as_str()))
            }
            _ => false,
        }
    }

    fn email_of(&self, claims: &Map<String, Value>) -> Option<Email> {
        let path = match &self.email {
            EmailRule::Never => return None,
            EmailRule::Always(path) => path,
            EmailRule::Where(path, verified) => match verified.of(claims)? {
                Value::Bool(true) => path,
                // Some issuers write it as text (Apple: "may be a string").
                Value::String(text) if text == "true" => path,
                _ => return None,
            },
        };
        Email::parse(path.of(claims)?.as_str()?).ok()
    }
}

/// A tenant's id in the one spelling that we write: an issuer's text is compared with nothing else.
#[must_use]
pub fn tenant_id(text: &str) -> Option<Uuid> {
    let id = Uuid::try_parse(text).ok()?;
    text.eq_ignore_ascii_case(&id.to_string()).then_some(id)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config(changes: &Value) -> Result<Config, Refused> {
        let mut config = json!({
            "issuer": "https://id.example", "audience": "nebula", "algorithms": ["RS256"], "tenantClaim": "app_metadata.tenantId",
        });
        for (name, value) in changes.as_object().unwrap() {
            config[name] = value.clone();
            if value.is_null() {
                config.as_object_mut().unwrap().remove(name);
            }
        }
        Config::parse(&config.to_string())
    }

    #[test]
    fn a_configuration_has_defaults_that_trust_nothing() {
        let config = config(&json!({})).unwrap();
        assert_eq!((config.email_claim.as_str(), &config.email_verified_claim, config.trusts_email), ("email", &None, false));
        assert_eq!((config.max_lifetime_seconds, config.is_active), (86_400, true));
    }

    #[test]
    fn a_configuration_is_closed_and_checked() {
        for changes in [
            json!({ "secret": "x" }),
            json!({ "issuer": null }),
            json!({ "issuer": "" }),
            json!({ "issuer": "internal" }),
            json!({ "issuer": "has space" }),
            json!({ "issuer": "x".repeat(256) }),
            json!({ "audience": null }),
            json!({ "audience": ["nebula"] }),
            json!({ "algorithms": [] }),
            json!({ "algorithms": ["none"] }),
            json!({ "algorithms": ["rs256"] }),
            json!({ "algorithms": ["RS512"] }),
            json!({ "algorithms": ["RS256", "RS256"] }),
            json!({ "tenantClaim": null }),
            json!({ "tenantId": Uuid::nil() }),
            json!({ "tenantClaim": "a..b" }),
            json!({ "tenantClaim": "user_metadata.tenantId" }),
            json!({ "emailClaim": "user_metadata.email" }),
            json!({ "emailVerifiedClaim": "user_metadata.email_verified" }),
            json!({ "emailVerifiedClaim": "email_verified", "trustsEmail": true }),
            json!({ "maxLifetimeSeconds": 59 }),
            json!({ "maxLifetimeSeconds": 604_801 }),
            json!({ "jwksUrl": "http://id.example/jwks" }),
            json!({ "jwksUrl": "http://localhost.example/jwks" }),
            json!({ "jwksUrl": "http://127.0.0.1@evil.example/jwks" }),
            json!({ "jwksUrl": "https://user:password@id.example/jwks" }),
            json!({ "jwksUrl": "https://id.example/jwks#x" }),
            json!({ "jwksUrl": "https:///jwks" }),
            json!({ "jwksUrl": "file:///etc/passwd" }),
            json!({ "jwksUrl": "id.example/jwks" }),
            json!({ "jwksUrl": "https://id.example/jwks", "algorithms": ["HS256"] }),
        ] {
            assert!(config(&changes).is_err(), "{changes}");
        }
        for url in
            ["https://id.example/jwks", "https://id.example:8443/a?b=c", "http://127.0.0.1:1/jwks", "http://[::1]/", "http://localhost"]
        {
            assert!(config(&json!({ "jwksUrl": url })).is_ok(), "{url}");
        }
        assert!(Config::parse("[]").is_err() && Config::parse(r#"{"issuer":"a","issuer":"b"}"#).is_err());
    }

    fn profile() -> Profile {
        let path = |text: &str| ClaimPath::try_from(text.to_owned()).unwrap();
        Profile {
            issuer: "https://id.example".to_owned(),
            audience: "nebula".to_owned(),
            algorithms: vec![Algorithm::Rs256],
            tenant: TenantRule::Claim(path("app_metadata.tenantId")),
            email: EmailRule::Where(path("email"), path("email_verified")),
            max_lifetime_seconds: 3600,
        }
    }

    fn claims(changes: &Value) -> Map<String, Value> {
        let mut claims = json!({
            "iss": "https://id.example", "aud": "nebula", "sub": "7", "app_metadata": { "tenantId": Uuid::from_u128(2) },
            "email": "Ana@Acme.example", "email_verified": true,
        });
        claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        claims.as_object().unwrap().clone()
    }

    #[test]
    fn claims_name_a_subject_a_tenant_and_a_verified_address() {
        let identity = profile().identify(&claims(&json!({}))).unwrap();
        assert_eq!((identity.subject.as_str(), identity.tenant), ("7", Uuid::from_u128(2)));
        assert_eq!(identity.email.unwrap().as_str(), "Ana@acme.example");
        assert!(profile().identify(&claims(&json!({ "aud": ["other", "nebula"] }))).is_some());
        let fixed = Profile { tenant: TenantRule::Always(Uuid::from_u128(9)), ..profile() };
        assert_eq!(fixed.identify(&claims(&json!({}))).unwrap().tenant, Uuid::from_u128(9));
        let namespaced = ClaimPath::try_from("https://id.example/tenant.id".to_owned()).unwrap();
        let profile = Profile { tenant: TenantRule::Claim(namespaced), ..profile() };
        assert!(profile.identify(&claims(&json!({ "https://id.example/tenant.id": Uuid::nil() }))).is_some());
    }

    #[test]
    fn claims_of_others_or_without_an_answer_name_nobody() {
        for changes in [
            json!({ "iss": "https://id.example/" }),
            json!({ "iss": 1 }),
            json!({ "aud": "other" }),
            json!({ "aud": [] }),
            json!({ "aud": ["nebula", 1] }),
            json!({ "aud": { "nebula": true } }),
            json!({ "sub": "" }),
            json!({ "sub": 7 }),
            json!({ "sub": "a\u{0}b" }),
            json!({ "sub": "x".repeat(256) }),
            json!({ "app_metadata": null }),
            json!({ "app_metadata": "x" }),
            json!({ "app_metadata": { "tenantId": "acme" } }),
            json!({ "app_metadata": { "tenantId": "00000000000000000000000000000002" } }),
            json!({ "app_metadata": { "tenantId": "{00000000-0000-0000-0000-000000000002}" } }),
            json!({ "app_metadata": { "tenantId": [Uuid::from_u128(2)] } }),
        ] {
            assert!(profile().identify(&claims(&changes)).is_none(), "{changes}");
        }
    }

    #[test]
    fn an_address_counts_only_where_it_was_verified() {
        let email = |profile: Profile, changes: Value| profile.identify(&claims(&changes)).unwrap().email;
        for verified in [json!(false), json!(null), json!("false"), json!(1), json!("yes"), json!([true])] {
            assert_eq!(email(profile(), json!({ "email_verified": verified })), None, "{verified}");
        }
        assert!(email(profile(), json!({ "email_verified": "true" })).is_some());
        assert_eq!(email(profile(), json!({ "email": "" })), None);
        assert_eq!(email(profile(), json!({ "email": ["ana@acme.example"] })), None);
        let trusting = Profile { email: EmailRule::Always(ClaimPath::named("email")), ..profile() };
        assert!(email(trusting, json!({ "email_verified": false })).is_some());
        assert_eq!(email(Profile { email: EmailRule::Never, ..profile() }, json!({})), None);
    }
}
