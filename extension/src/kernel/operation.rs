//! What an operation is. Each noun declares its own in `domain/`; from that one list come routes, permissions, documentation.

use super::{
    context::Caller,
    custom_operation::{self, Custom},
    error::{Refusal, Result},
    idempotency::Replay,
};
use nebula_core::{error::Code, text::IdempotencyKey};
use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Number, Value, json};
use std::{borrow::Cow, collections::HashMap, rc::Rc};
use uuid::Uuid;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
        }
    }

    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Get, Self::Post, Self::Put, Self::Patch, Self::Delete].into_iter().find(|method| method.as_str() == name)
    }

    /// Whether it has a JSON body (and no query).
    #[must_use]
    pub fn takes_body(self) -> bool {
        matches!(self, Method::Post | Method::Put | Method::Patch)
    }
}

/// Who may reach an operation at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Without a credential.
    Public,
    /// Every tenant, within its rights.
    Tenant,
    /// Every tenant; a person needs no grant for it, since it is about that person (`me.*`). A service needs its scope.
    OwnUser,
    /// Operators of the platform; runs as `nebula_platform`, across tenants.
    Platform,
}

/// What it does to data: profiles of keys are made of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Read,
    Write,
    Admin,
}

impl Kind {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Read => "read",
            Kind::Write => "write",
            Kind::Admin => "admin",
        }
    }

    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Read, Self::Write, Self::Admin].into_iter().find(|kind| kind.as_str() == name)
    }
}

/// Where the edge finds the tenant that it passes to `handle`.
#[derive(Clone, Copy, Debug)]
pub enum TenantFrom {
    Credential,
    Login,
    /// The opaque token in this member of the body.
    BodyToken(&'static str),
}

/// A password in the body, which the edge replaces by what Argon2id derives of it.
#[derive(Clone, Copy, Debug)]
pub struct Derived {
    pub field: &'static str,
    /// `new` or `check`.
    pub mode: &'static str,
}

/// A member of the body that only the edge can read (docs/edge-protocol.md, Sealing).
#[derive(Clone, Copy, Debug)]
pub struct Sealed {
    pub field: &'static str,
    pub mode: Seal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seal {
    /// The edge makes the secret up; the answer shows it once.
    Generate { prefix: &'static str },
    /// The client's value, any JSON but null: it goes in and comes out nowhere.
    Given,
}

/// From when an operation should no longer be used, and from when it may be gone: seconds since the epoch.
#[derive(Clone, Copy, Debug)]
pub struct Deprecation {
    pub at: i64,
    pub sunset: Option<i64>,
}

/// Calls of an action that a tenant may make, where no override of its own says otherwise.
#[derive(Clone, Copy, Debug, Default)]
pub struct ActionLimits {
    pub per_minute: Option<u32>,
    pub per_month: Option<u32>,
}

/// Declares what an operation answers: the JSON itself is made by SQL, and a test holds it against this.
macro_rules! shape {
    ($(#[$doc:meta])* $vis:vis $name:ident { $($(#[$member_doc:meta])* $member:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(schemars::JsonSchema)]
        #[schemars(rename_all = "camelCase")]
        #[allow(dead_code, reason = "describes what SQL makes")]
        $vis struct $name { $($(#[$member_doc])* $member: $type,)* }
    };
}
pub(crate) use shape;

/// What success answers, for the documentation.
#[derive(Clone, Copy)]
pub enum Shape {
    Nothing,
    One(MakeSchema),
    /// A page: `data` is a list of these, and `meta` tells of the next.
    Page(MakeSchema),
    /// A file of this content type, which the edge sends from object storage.
    File(&'static str),
}

/// Columns that a list may be sorted by, the default first, each with the SQL type its position is read back as.
pub type Sorts = &'static [(&'static str, &'static str)];

/// Adds a type's schema to a generator's definitions.
pub type MakeSchema = fn(&mut schemars::SchemaGenerator) -> schemars::Schema;

/// What a handler answers: JSON text that Postgres made passes through unparsed.
#[derive(Debug, Default)]
pub struct Reply {
    /// The text of `data`; `None` answers 204 without a body.
    pub data: Option<String>,
    /// The text of `meta`.
    pub meta: Option<String>,
    /// Claims that the edge signs into `data.accessToken`.
    pub claims: Option<Value>,
    /// What the edge sends instead of a body.
    pub file: Option<File>,
    /// An earlier answer under the same key, instead of all that.
    pub replay: Option<Replay>,
}

/// A file in object storage, in a folder of the caller's tenant.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct File {
    /// `<folder>/<tenant>/…`.
    pub location: String,
    /// What a client is told to call it.
    pub name: String,
    /// In bytes.
    pub size: u64,
    /// Hexadecimal.
    pub sha256: String,
}

impl Reply {
    /// A file, with the content type that the operation declares.
    #[must_use]
    pub fn file(file: File) -> Self {
        Self { file: Some(file), ..Self::default() }
    }

    #[must_use]
    pub fn data(data: String) -> Self {
        Self { data: Some(data), ..Self::default() }
    }

    /// No content.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }
}

/// One call of an operation: who, and with what input (path, query and body merged).
pub struct Call {
    pub operation: Rc<Operation>,
    pub caller: Rc<Caller>,
    pub input: Map<String, Value>,
    /// The caller's `Idempotency-Key`.
    pub key: Option<IdempotencyKey>,
}

impl Call {
    #[must_use]
    pub fn tenant(&self) -> Uuid {
        self.caller.tenant
    }
}

/// A handler with its typed input.
pub type Handler = Box<dyn FnOnce(&Call) -> Result<Reply>>;
/// Types an input, and gives the handler that waits for the call.
type Prepare = dyn Fn(&Map<String, Value>) -> Result<Handler>;

/// An operation of the product, or a custom one.
pub struct Operation {
    /// Unique: the action's key, with `.v2` behind it where the path is of another version than `/v1`.
    pub id: Cow<'static, str>,
    pub action: Rc<str>,
    pub method: Method,
    pub path: Cow<'static, str>,
    pub scope: Scope,
    pub kind: Kind,
    pub success: u16,
    pub summary_pt: Cow<'static, str>,
    pub summary_en: Cow<'static, str>,
    pub limits: ActionLimits,
    /// What a DBA has exposed; `None` for the product's own.
    pub custom: Option<Rc<Custom>>,
    pub tenant_from: TenantFrom,
    pub derive: &'static [Derived],
    pub seal: &'static [Sealed],
    /// Only what is sent is changed: something must be, and null says neither to keep nor to remove.
    pub is_partial: bool,
    pub deprecation: Option<Deprecation>,
    pub issues_token: bool,
    /// The answer holds a secret that is shown once: it is never stored in the clear.
    pub reveals_secret: bool,
    pub input: MakeSchema,
    pub answer: Shape,
    /// The columns that a list may be sorted by.
    pub sorts: Sorts,
    prepare: Box<Prepare>,
}

impl Operation {
    /// An operation whose handler takes a typed input; everything else has the common value and is changed by the builder's methods.
    pub fn new<I: DeserializeOwned + JsonSchema + 'static>(
        action: &'static str,
        (method, path): (Method, &'static str),
        kind: Kind,
        handler: fn(&Call, I) -> Result<Reply>,
    ) -> Self {
        Self {
            id: Cow::Borrowed(action),
            action: Rc::from(action),
            method,
            path: Cow::Borrowed(path),
            scope: Scope::Tenant,
            kind,
            success: if method == Method::Delete { 204 } else { 200 },
            summary_pt: Cow::default(),
            summary_en: Cow::default(),
            limits: ActionLimits::default(),
            custom: None,
            tenant_from: TenantFrom::Credential,
            derive: &[],
            seal: &[],
            is_partial: false,
            deprecation: None,
            issues_token: false,
            reveals_secret: false,
            input: |generator| I::json_schema(generator),
            answer: Shape::Nothing,
            sorts: &[],
            prepare: Box::new(move |input| {
                let input = parse::<I>(input)?;
                Ok(Box::new(move |call| handler(call, input)))
            }),
        }
    }

    /// A custom operation, which types its input by the function that it is as of the call.
    #[must_use]
    pub fn custom(custom: Custom) -> Self {
        #[derive(Deserialize, JsonSchema)]
        struct Nothing {}
        let custom = Rc::new(custom);
        let mut operation = Self::new("", (custom.method, ""), custom.kind, |_, _: Nothing| Ok(Reply::none()));
        operation.id = Cow::Owned(custom.operation_id());
        operation.action = Rc::from(&*custom.action);
        operation.path = Cow::Owned(custom.path.as_str().to_owned());
        operation.success = custom.options.success;
        operation.summary_pt = Cow::Owned(custom.options.summary_pt.clone());
        operation.summary_en = Cow::Owned(custom.options.summary_en.clone());
        operation.limits = ActionLimits { per_minute: custom.options.per_minute, per_month: custom.options.per_month };
        operation.deprecation = custom.options.deprecation();
        let exposed = Rc::clone(&custom);
        operation.prepare = Box::new(move |input| custom_operation::prepare(&exposed, input));
        operation.custom = Some(custom);
        operation
    }

    #[must_use]
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }
    /// The HTTP status of success.
    #[must_use]
    pub fn success(mut self, status: u16) -> Self {
        self.success = status;
        self
    }
    #[must_use]
    pub fn summary(mut self, portuguese: &'static str, english: &'static str) -> Self {
        (self.summary_pt, self.summary_en) = (Cow::Borrowed(portuguese), Cow::Borrowed(english));
        self
    }
    #[must_use]
    pub fn tenant_from(mut self, source: TenantFrom) -> Self {
        self.tenant_from = source;
        self
    }
    #[must_use]
    pub fn derive(mut self, fields: &'static [Derived]) -> Self {
        self.derive = fields;
        self
    }
    #[must_use]
    pub fn issues_token(mut self) -> Self {
        self.issues_token = true;
        self
    }
    #[must_use]
    pub fn reveals_secret(mut self) -> Self {
        self.reveals_secret = true;
        self
    }

    /// The type of `data`.
    #[must_use]
    pub fn answers<T: JsonSchema>(mut self) -> Self {
        self.answer = Shape::One(|generator| generator.subschema_for::<T>());
        self
    }
    /// The type of each of a page's rows.
    #[must_use]
    pub fn lists<T: JsonSchema>(mut self) -> Self {
        self.answer = Shape::Page(|generator| generator.subschema_for::<T>());
        self
    }
    /// It answers with a file of this content type.
    #[must_use]
    pub fn downloads(mut self, content_type: &'static str) -> Self {
        self.answer = Shape::File(content_type);
        self
    }
    #[must_use]
    pub fn sorts(mut self, sorts: Sorts) -> Self {
        self.sorts = sorts;
        self
    }
    #[must_use]
    pub fn seal(mut self, fields: &'static [Sealed]) -> Self {
        self.seal = fields;
        self
    }
    #[must_use]
    pub fn partial(mut self) -> Self {
        self.is_partial = true;
        self
    }
    #[must_use]
    pub fn deprecated(mut self, deprecation: Deprecation) -> Self {
        self.deprecation = Some(deprecation);
        self
    }

    /// Whether it takes or gives what only the edge has: derived passwords, sealed secrets, signed tokens, files.
    #[must_use]
    pub fn needs_edge(&self) -> bool {
        self.scope == Scope::Public || !self.derive.is_empty() || !self.seal.is_empty() || self.content_type().is_some()
    }

    /// The type of the file that it answers with.
    #[must_use]
    pub fn content_type(&self) -> Option<&'static str> {
        if let Shape::File(content_type) = self.answer { Some(content_type) } else { None }
    }

    /// HTTP status and body of a reply.
    #[must_use]
    pub fn envelope(&self, reply: &Reply) -> (u16, Option<String>) {
        match (&reply.data, &reply.meta) {
            (None, _) => (self.success, None),
            (Some(data), None) => (self.success, Some(["{\"data\":", data, "}"].concat())),
            (Some(data), Some(meta)) => (self.success, Some(["{\"data\":", data, ",\"meta\":", meta, "}"].concat())),
        }
    }

    /// Types the input; the result runs the handler.
    pub fn prepare(&self, input: &Map<String, Value>) -> Result<Handler> {
        if let Some((name, _)) = input.iter().find(|(_, value)| self.is_partial && value.is_null()) {
            return Err(Refusal::invalid(name, "type"));
        }
        if self.custom.is_some() {
            return (self.prepare)(input);
        }
        (self.prepare)(&whole_numbers(input))
    }

    /// Whether the edge reads a JSON body (and not the query).
    #[must_use]
    pub fn takes_body(&self) -> bool {
        self.method.takes_body()
    }

    /// The names of the parameters in the path.
    pub fn path_parameters(&self) -> impl Iterator<Item = &str> {
        self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    }

    /// The member of the input that names what a call is about, for grants of some resources only.
    #[must_use]
    pub fn resource_parameter(&self) -> &str {
        self.custom.as_ref().and_then(|custom| custom.path.parameters.first()).map_or("id", String::as_str)
    }

    /// What `nebula.routes()` and the edge see.
    #[must_use]
    pub fn route(&self) -> Value {
        let scope = match self.scope {
            Scope::Public => "public",
            Scope::Tenant | Scope::OwnUser => "tenant",
            Scope::Platform => "platform",
        };
        json!({
            "operation": self.id, "method": self.method.as_str(), "path": self.path, "scope": scope,
            "kind": self.kind.as_str(), "success": self.success, "summary": { "pt": self.summary_pt, "en": self.summary_en },
        })
    }

    /// The route with what only the edge needs.
    #[must_use]
    pub fn edge_route(&self) -> Value {
        let mut route = self.route();
        if let Some(members) = route.as_object_mut() {
            members.remove("summary");
            let tenant_from = match self.tenant_from {
                TenantFrom::Credential => json!("credential"),
                TenantFrom::Login => json!("login"),
                TenantFrom::BodyToken(field) => json!({ "bodyToken": field }),
            };
            let derive = self.derive.iter().map(|d| json!({ "field": d.field, "mode": d.mode })).collect::<Vec<_>>();
            members.insert("takesBody".to_owned(), json!(self.takes_body()));
            members.insert("tenantFrom".to_owned(), tenant_from);
            members.insert("derive".to_owned(), json!(derive));
            let seal = self.seal.iter().map(|sealed| match sealed.mode {
                Seal::Generate { prefix } => json!({ "field": sealed.field, "mode": "generate", "prefix": prefix }),
                Seal::Given => json!({ "field": sealed.field, "mode": "given" }),
            });
            members.insert("seal".to_owned(), json!(seal.collect::<Vec<_>>()));
            if let Some(deprecation) = self.deprecation {
                members.insert("deprecation".to_owned(), json!({ "at": deprecation.at, "sunset": deprecation.sunset }));
            }
            members.insert("issuesToken".to_owned(), json!(self.issues_token));
            if let Some(content_type) = self.content_type() {
                members.insert("contentType".to_owned(), json!(content_type));
            }
        }
        route
    }
}

/// The input with 5.0 as 5, as JSON Schema reads it: to it, and to clients without integers, both are one number.
fn whole_numbers(input: &Map<String, Value>) -> Cow<'_, Map<String, Value>> {
    fn whole(number: &Number) -> Option<i64> {
        // 2^53: beyond it a double no longer says which integer was meant.
        let number = number.as_f64().filter(|number| number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0)?;
        #[allow(clippy::cast_possible_truncation, reason = "it is whole, and of 53 bits")]
        Some(number as i64)
    }
    fn has_any(value: &Value) -> bool {
        match value {
            Value::Number(number) => number.is_f64() && whole(number).is_some(),
            Value::Array(items) => items.iter().any(has_any),
            Value::Object(members) => members.values().any(has_any),
            _ => false,
        }
    }
    fn replace(value: &mut Value) {
        match value {
            Value::Number(number) if number.is_f64() => {
                if let Some(whole) = whole(number) {
                    *value = json!(whole);
                }
            }
            Value::Array(items) => items.iter_mut().for_each(replace),
            Value::Object(members) => members.values_mut().for_each(replace),
            _ => {}
        }
    }
    if !input.values().any(has_any) {
        return Cow::Borrowed(input);
    }
    let mut input = input.clone();
    input.values_mut().for_each(replace);
    Cow::Owned(input)
}

/// Types an input; the refusal names the field and the rule.
fn parse<I: DeserializeOwned>(input: &Map<String, Value>) -> Result<I> {
    serde_path_to_error::deserialize(serde::de::value::MapDeserializer::new(input.iter().map(|(name, value)| (name.as_str(), value))))
        .map_err(|error: serde_path_to_error::Error<serde_json::Error>| {
            let path = error.path().to_string();
            let (field, rule) = broken_rule(&error.inner().to_string());
            let path = if path == "." { String::new() } else { path };
            match field {
                // serde puts an unknown field into the path, but not a missing one.
                Some(field) if path.is_empty() => Refusal::invalid(&field, rule),
                Some(field) if path == field || path.ends_with(&format!(".{field}")) => Refusal::invalid(&path, rule),
                Some(field) => Refusal::invalid(&format!("{path}.{field}"), rule),
                None => Refusal::invalid(&path, rule),
            }
        })
}

/// Reads serde's message into a field, where it names one, and a rule. The text itself, which may hold the value, goes no further.
fn broken_rule(message: &str) -> (Option<String>, &'static str) {
    let quoted = || message.split('`').nth(1).map(|field| field.chars().take(64).collect());
    if message.starts_with("unknown field") {
        (quoted(), "unknown")
    } else if message.starts_with("missing field") {
        (quoted(), "required")
    } else if message.starts_with("unknown variant") {
        (None, "enum")
    } else if let Some(rule) = message.strip_prefix("rule=") {
        (None, RULES.iter().copied().find(|known| rule == *known || rule.starts_with(&format!("{known} "))).unwrap_or("invalid"))
    } else if message.starts_with("invalid type") {
        (None, "type")
    } else if message.starts_with("UUID parsing failed") {
        (None, "uuid")
    } else {
        (None, "invalid")
    }
}

/// Every rule that a type of `nebula-core` names.
const RULES: &[&str] = &[
    "empty",
    "too_short",
    "too_long",
    "control_character",
    "email",
    "slug",
    "key",
    "visible_ascii",
    "request_id",
    "date-time",
    "cidr",
    "base64",
    "range",
    "sort",
    "nothing_to_change",
    "url",
    "public_address",
    "color",
    "domain",
];

/// What reading takes is a multiple of it, and no cancel ends that. Only a superuser can set it.
static MAX_REQUEST_BYTES: GucSetting<i32> = GucSetting::<i32>::new(4 << 20);

/// For tests of what no operation of the product has: a deprecated one. Only a superuser can set it.
static TEST_OPERATIONS: GucSetting<bool> = GucSetting::<bool>::new(false);

/// For development and tests: webhooks may name addresses of this machine. Only a superuser can set it.
static ALLOW_LOOPBACK_WEBHOOKS: GucSetting<bool> = GucSetting::<bool>::new(false);

/// Whether webhooks may name addresses of this machine.
#[must_use]
pub fn allows_loopback_webhooks() -> bool {
    ALLOW_LOOPBACK_WEBHOOKS.get()
}

/// Declares the library's settings.
pub fn define_settings() {
    GucRegistry::define_int_guc(
        c"nebula.max_request_bytes",
        c"The longest request of nebula.handle, and the longest input of nebula.call.",
        c"Reading JSON takes up to 32 times its size, and no cancel ends that. At least what the edge lets in (NEBULA_MAX_BODY_BYTES).",
        &MAX_REQUEST_BYTES,
        1 << 16,
        1 << 30,
        GucContext::Suset,
        GucFlags::UNIT_BYTE,
    );
    GucRegistry::define_bool_guc(
        c"nebula.test_operations",
        c"Whether operations that exist for tests are offered.",
        c"A backend reads it once.",
        &TEST_OPERATIONS,
        GucContext::Suset,
        GucFlags::NO_SHOW_ALL,
    );
    GucRegistry::define_bool_guc(
        c"nebula.allow_loopback_webhooks",
        c"Whether webhooks may name addresses of this machine, over http, too: for development and tests.",
        c"The worker has a setting of its own, and sends there only if both allow it.",
        &ALLOW_LOOPBACK_WEBHOOKS,
        GucContext::Suset,
        GucFlags::default(),
    );
}

/// Whether a request is longer than is read at all.
#[must_use]
pub fn is_too_large(request: &str) -> bool {
    usize::try_from(MAX_REQUEST_BYTES.get()).is_ok_and(|most| request.len() > most)
}

fn offered() -> Vec<Operation> {
    let mut operations = crate::domain::operations();
    if TEST_OPERATIONS.get() {
        #[derive(Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        struct Nothing {}
        operations.push(
            Operation::new("test.deprecated", (Method::Get, "/v1/test/deprecated"), Kind::Read, |_, _: Nothing| {
                Ok(Reply::data("{}".to_owned()))
            })
            .scope(Scope::OwnUser)
            .deprecated(Deprecation { at: 1_767_225_600, sunset: Some(1_798_761_600) })
            .summary("Só para testes", "For tests only"),
        );
    }
    operations
}

thread_local! {
    static OPERATIONS: Rc<HashMap<String, Rc<Operation>>> =
        Rc::new(offered().into_iter().map(|operation| (operation.id.clone().into_owned(), Rc::new(operation))).collect());
}

/// The operation with this id, or the newest version of this action. The product's own come first: no row of a table takes their place.
pub fn find(id: &str) -> Result<Rc<Operation>> {
    OPERATIONS.with(|operations| operations.get(id).cloned()).or_else(|| custom_operation::find(id)).ok_or_else(|| Code::NotFound.into())
}

/// The product's operations, by path and method.
#[must_use]
pub fn built_in() -> Vec<Rc<Operation>> {
    let mut operations = OPERATIONS.with(|operations| operations.values().cloned().collect::<Vec<_>>());
    operations.sort_by(|one, other| (&one.path, one.method.as_str()).cmp(&(&other.path, other.method.as_str())));
    operations
}

/// All operations: the product's, then the custom ones.
#[must_use]
pub fn all() -> Vec<Rc<Operation>> {
    let mut operations = built_in();
    operations.extend(custom_operation::all());
    operations
}
