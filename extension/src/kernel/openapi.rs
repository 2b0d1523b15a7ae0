//! The OpenAPI 3.1 document, made of the list of operations: inputs and outputs from the types, the rest from what the pipeline does with every operation.
#![allow(
    clippy::indexing_slicing,
    reason = "of JSON values: reading what is missing gives null, and writing is into objects that are made here"
)]

use super::{
    limit::Category,
    operation::{self, MakeSchema, Method, Operation, Scope, Seal, Shape},
};
use nebula_core::{
    error::{Code, Language},
    password::{MAX_PASSWORD_CHARACTERS, MIN_PASSWORD_CHARACTERS},
    rate::WINDOW_SECONDS,
};
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

const SCHEMAS: &str = "#/components/schemas/";

/// Keywords of an input's schema that say which members go together. They are about members of the body.
const BETWEEN_MEMBERS: [&str; 4] = ["if", "then", "anyOf", "oneOf"];

/// The whole document.
#[must_use]
pub fn document() -> Value {
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    // Two views of a type: what is accepted, and what is answered.
    let mut accepts =
        SchemaSettings::draft2020_12().with(|settings| settings.definitions_path = "/components/schemas".into()).into_generator();
    let mut answers = SchemaSettings::draft2020_12()
        .for_serialize()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .into_generator();
    let operations = operation::all();
    let mut refusals = Refusals::default();
    for operation in &operations {
        // What can't be called now is not offered.
        if operation.custom.as_ref().is_some_and(|custom| custom.function().is_err()) {
            continue;
        }
        let described = describe(operation, &mut accepts, &mut answers, &mut refusals);
        paths.entry(operation.path.clone().into_owned()).or_default().insert(operation.method.as_str().to_ascii_lowercase(), described);
    }
    let mut schemas = accepts.take_definitions(true);
    schemas.extend(answers.take_definitions(true));
    schemas.insert("Error".to_owned(), error_schema());
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Nebula", "version": env!("CARGO_PKG_VERSION"),
            "description": "The multi-tenant backend core inside Postgres, over HTTP. Success is `{\"data\": …, \"meta\"?: …}`, failure \
                            `{\"error\": {code, message, requestId, details?}}`.\n\n\
                            O núcleo multi-tenant dentro do Postgres, por HTTP. Sucesso é `{\"data\": …, \"meta\"?: …}`, falha \
                            `{\"error\": {code, message, requestId, details?}}`.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "tags": tags(&operations.iter().map(|operation| &*operation.action).collect::<Vec<_>>()),
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": refusals.into_components(),
            "parameters": parameters(),
            "headers": headers(),
            "securitySchemes": {
                "accessToken": { "type": "http", "scheme": "bearer", "description": "An access token, or an API key." },
                "apiKey": { "type": "apiKey", "in": "header", "name": "X-Api-Key", "description": "An API key." },
            },
        },
    });
    examples(&mut document);
    prune(&mut document);
    document
}

/// Takes away what no operation shows: types of members that the edge makes, headers of deprecation where nothing is deprecated.
fn prune(document: &mut Value) {
    loop {
        let text = document.to_string();
        let mut is_changed = false;
        for kind in ["schemas", "headers"] {
            let Some(components) = document["components"][kind].as_object_mut() else { continue };
            let count = components.len();
            components.retain(|name, _| text.contains(&format!("\"#/components/{kind}/{name}\"")));
            is_changed |= components.len() != count;
        }
        if !is_changed {
            return;
        }
    }
}

/// The distinct refusals of all operations: each stands in the document once.
#[derive(Default)]
struct Refusals(Vec<(u16, Vec<Code>)>);

impl Refusals {
    /// A reference to the response for these codes.
    fn reference(&mut self, status: u16, codes: Vec<Code>) -> Value {
        let wanted = (status, codes);
        let index = self.0.iter().position(|known| *known == wanted).unwrap_or_else(|| {
            self.0.push(wanted);
            self.0.len() - 1
        });
        json!({ "$ref": format!("#/components/responses/{}", self.name(index)) })
    }

    /// `Refused400`, and `Refused400_2` for the second set of codes under that status.
    fn name(&self, index: usize) -> String {
        let status = self.0.get(index).map_or(0, |(status, _)| *status);
        match self.0.iter().take(index).filter(|(other, _)| *other == status).count() {
            0 => format!("Refused{status}"),
            before => format!("Refused{status}_{}", before + 1),
        }
    }

    fn into_components(self) -> Value {
        let components = self.0.iter().enumerate().map(|(index, (status, codes))| (self.name(index), refusal(*status, codes)));
        Value::Object(components.collect())
    }
}

/// What each noun is, in English and Portuguese.
const TAGS: &[(&str, &str, &str)] = &[
    ("api_keys", "Service accounts and their keys.", "Contas de serviço e suas chaves."),
    ("audit", "Who did what, when.", "Quem fez o quê, e quando."),
    ("auth", "Logging in, staying in, leaving.", "Entrar, permanecer, sair."),
    ("branding", "How the tenant looks.", "A aparência do tenant."),
    ("catalog", "Tools, their actions, and packages of them.", "Ferramentas, suas ações e pacotes."),
    ("config", "Flags, limits and operational profile of the tenant.", "Flags, limites e perfil operacional do tenant."),
    ("credentials", "Credentials of other services, sealed.", "Credenciais de outros serviços, seladas."),
    ("exports", "Everything of a tenant in one file.", "Tudo de um tenant em um arquivo."),
    ("groups", "Groups of people, and what they may do.", "Grupos de pessoas, e o que podem fazer."),
    ("jobs", "Work that is done later.", "Trabalho que é feito depois."),
    ("me", "The caller about themselves.", "Quem chama, sobre si."),
    ("tenants", "Tenants, what they have bought, and exceptions.", "Tenants, o que contrataram, e exceções."),
    ("usage", "What was used, by action.", "O que foi usado, por ação."),
    ("users", "People of the tenant.", "Pessoas do tenant."),
    ("webhooks", "Who is told of events, and what became of it.", "Quem é avisado de eventos, e o resultado."),
];

fn tags(actions: &[&str]) -> Value {
    let names = actions.iter().filter_map(|action| action.split('.').next()).collect::<BTreeSet<_>>();
    let describe = |name: &&str| match TAGS.iter().find(|(tag, ..)| tag == name) {
        Some((_, english, portuguese)) => format!("{english}\n\n{portuguese}"),
        None => "Functions of the application.\n\nFunções da aplicação.".to_owned(),
    };
    json!(names.iter().map(|name| json!({ "name": name, "description": describe(name) })).collect::<Vec<_>>())
}

fn describe(operation: &Operation, accepts: &mut SchemaGenerator, answers: &mut SchemaGenerator, refusals: &mut Refusals) -> Value {
    let function = operation.custom.as_ref().and_then(|custom| custom.function().ok());
    let mut input = match &function {
        Some(function) => function.input_schema(),
        None => schema(operation.input, accepts),
    };
    let (members, required) = members_of(operation, &mut input);
    let mut parameters =
        vec![json!({ "$ref": "#/components/parameters/AcceptLanguage" }), json!({ "$ref": "#/components/parameters/RequestId" })];
    if operation.method != Method::Get {
        parameters.push(json!({ "$ref": "#/components/parameters/IdempotencyKey" }));
    }
    if operation.scope == Scope::Tenant {
        parameters.push(json!({ "$ref": "#/components/parameters/TenantId" }));
    }
    let in_path = operation.path_parameters().collect::<Vec<_>>();
    let mut body = Map::new();
    for (name, member) in members {
        let is_in_path = in_path.contains(&name.as_str());
        if is_in_path || !operation.takes_body() {
            parameters.push(parameter(&name, member, is_in_path, required.contains(&name)));
        } else {
            body.insert(name, if operation.is_partial { without_null(member) } else { member });
        }
    }
    let mut described = json!({
        "operationId": operation.id,
        "tags": [operation.action.split('.').next()],
        "summary": operation.summary_en,
        "description": description(operation),
        "parameters": parameters,
        "responses": responses(operation, answers, refusals),
        "security": if operation.scope == Scope::Public { json!([]) } else { json!([{ "accessToken": [] }, { "apiKey": [] }]) },
        "x-scope": match operation.scope {
            Scope::Public => "public",
            Scope::Tenant => "tenant",
            Scope::OwnUser => "self",
            Scope::Platform => "platform",
        },
        "x-permission": if operation.scope == Scope::Public { Value::Null } else { json!(*operation.action) },
        "x-kind": operation.kind.as_str(),
    });
    if operation.takes_body() {
        let is_required = |name: &&String| body.contains_key(*name);
        let required = required.iter().filter(is_required).collect::<Vec<_>>();
        let mut schema = json!({ "type": "object", "properties": body, "required": required, "additionalProperties": false });
        if operation.is_partial {
            schema["minProperties"] = json!(1);
        }
        for rule in BETWEEN_MEMBERS {
            if let Some(of_members) = input.get(rule) {
                schema[rule] = of_members.clone();
            }
        }
        let asks_for_a_member =
            operation.is_partial || !required.is_empty() || ["anyOf", "oneOf"].iter().any(|rule| input.get(rule).is_some());
        described["requestBody"] = json!({
            "required": asks_for_a_member,
            "content": { "application/json": { "schema": schema } },
        });
    }
    if operation.deprecation.is_some() {
        described["deprecated"] = json!(true);
    }
    described
}

fn schema(make: MakeSchema, generator: &mut SchemaGenerator) -> Value {
    make(generator).to_value()
}

/// The members of the input as a client sends them, and which of them are required: passwords as text, and nothing of what the edge makes.
fn members_of(operation: &Operation, input: &mut Value) -> (Map<String, Value>, Vec<String>) {
    let mut members = input["properties"].as_object_mut().map(std::mem::take).unwrap_or_default();
    let mut required =
        input["required"].as_array().into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect::<Vec<_>>();
    for derived in operation.derive {
        let shortest = if derived.mode == "new" { MIN_PASSWORD_CHARACTERS } else { 1 };
        let password = json!({
            "type": "string", "format": "password", "minLength": shortest, "maxLength": MAX_PASSWORD_CHARACTERS, "writeOnly": true,
            "pattern": "^[^\\u0000]*$",
            "examples": ["correct horse battery staple"],
        });
        members.insert(derived.field.to_owned(), password);
    }
    for sealed in operation.seal {
        match sealed.mode {
            Seal::Generate { .. } => {
                members.remove(sealed.field);
                required.retain(|name| name != sealed.field);
            }
            Seal::Given => {
                let given = json!({
                    "type": ["object", "array", "string", "number", "boolean"], "writeOnly": true,
                    "description": "Any JSON but null, up to 64 KiB. It is sealed before it is stored, and never shown again.",
                    "examples": [{ "apiKey": "what the provider gave" }],
                });
                members.insert(sealed.field.to_owned(), given);
            }
        }
    }
    if let Some(sort) = members.get_mut("sort") {
        let choices =
            operation.sorts.iter().flat_map(|(column, _)| [format!("{column}:desc"), format!("{column}:asc")]).collect::<Vec<_>>();
        *sort = json!({ "type": "string", "enum": choices, "description": "By which column, and in which direction.", "default": choices.first() });
    }
    if let Some(cursor) = members.get_mut("cursor") {
        *cursor = json!({ "type": "string", "maxLength": 2048, "description": "`meta.nextCursor` of the page before; it belongs to its list, sort and filters." });
    }
    (members, required)
}

fn parameter(name: &str, member: Value, is_in_path: bool, is_required: bool) -> Value {
    let mut schema = without_null(member);
    let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
    let mut parameter = json!({
        "name": name, "in": if is_in_path { "path" } else { "query" }, "required": is_in_path || is_required, "schema": schema,
    });
    if let Some(description) = description {
        parameter["description"] = description;
    }
    parameter
}

/// The schema without `null` among what it allows: a query can't say it, and in a partial change it would say neither to keep nor to remove.
fn without_null(mut schema: Value) -> Value {
    if let Some(types) = schema.get_mut("type").filter(|types| types.is_array()) {
        let kept = types.as_array().into_iter().flatten().filter(|kind| *kind != "null").cloned().collect::<Vec<_>>();
        *types = if let [kind] = kept.as_slice() { kind.clone() } else { json!(kept) };
    }
    if let Some(choices) = schema.get("anyOf").and_then(Value::as_array) {
        let kept = choices.iter().filter(|choice| choice["type"] != "null").cloned().collect::<Vec<_>>();
        if let ([Value::Object(only)], Some(members)) = (kept.as_slice(), schema.as_object().cloned()) {
            let mut merged = members;
            merged.remove("anyOf");
            merged.extend(only.clone());
            return Value::Object(merged);
        }
    }
    schema
}

fn description(operation: &Operation) -> String {
    let who = match (operation.scope, &*operation.action) {
        (Scope::Public, _) => ("Without a credential.".to_owned(), "Sem credencial.".to_owned()),
        (Scope::OwnUser, action) => (
            format!("A person needs no permission for it; a service account needs `{action}`."),
            format!("Uma pessoa não precisa de permissão; uma conta de serviço precisa de `{action}`."),
        ),
        (Scope::Platform, action) => (
            format!("For operators of the platform, with permission `{action}`."),
            format!("Para operadores da plataforma, com a permissão `{action}`."),
        ),
        (Scope::Tenant, action) => (format!("Needs permission `{action}`."), format!("Precisa da permissão `{action}`.")),
    };
    let category = if operation.scope == Scope::Public { Category::Auth } else { Category::from(operation.kind) };
    format!(
        "{}. {}\n\n{}. {}\n\nRate limit: category `{}`, by default {} requests in {WINDOW_SECONDS} s.",
        operation.summary_en,
        who.0,
        operation.summary_pt,
        who.1,
        category.as_str(),
        category.default_limit(),
    )
}

/// The headers of every answer.
fn common_headers() -> Value {
    json!({
        "X-Request-Id": { "$ref": "#/components/headers/RequestId" },
        "RateLimit": { "$ref": "#/components/headers/RateLimit" },
        "RateLimit-Policy": { "$ref": "#/components/headers/RateLimitPolicy" },
    })
}

fn responses(operation: &Operation, answers: &mut SchemaGenerator, refused: &mut Refusals) -> Value {
    let mut responses = Map::new();
    let mut headers = common_headers();
    if operation.method != Method::Get {
        headers["Idempotency-Replayed"] = json!({ "$ref": "#/components/headers/IdempotencyReplayed" });
    }
    if operation.deprecation.is_some() {
        headers["Deprecation"] = json!({ "$ref": "#/components/headers/Deprecation" });
        if operation.deprecation.is_some_and(|deprecation| deprecation.sunset.is_some()) {
            headers["Sunset"] = json!({ "$ref": "#/components/headers/Sunset" });
        }
    }
    let mut success = json!({ "description": "Success.", "headers": headers });
    let function = operation.custom.as_ref().and_then(|custom| custom.function().ok());
    let data = match operation.answer {
        Shape::Nothing => function
            .and_then(|function| function.answer_schema())
            .map(|data| json!({ "type": "object", "properties": { "data": data }, "required": ["data"] })),
        Shape::File(content_type) => {
            success["content"] = json!({ content_type: { "schema": { "type": "string", "format": "binary" } } });
            None
        }
        Shape::One(make) => Some(json!({ "type": "object", "properties": { "data": schema(make, answers) }, "required": ["data"] })),
        Shape::Page(make) => {
            answers.subschema_for::<Meta>();
            Some(json!({
                "type": "object", "required": ["data", "meta"],
                "properties": { "data": { "type": "array", "items": schema(make, answers) }, "meta": { "$ref": format!("{SCHEMAS}Meta") } },
            }))
        }
    };
    if let Some(schema) = data {
        success["content"] = json!({ "application/json": { "schema": schema } });
    }
    responses.insert(operation.success.to_string(), success);
    for (status, codes) in refusals(operation) {
        responses.insert(status.to_string(), refused.reference(status, codes));
    }
    Value::Object(responses)
}

/// What a page says of the next.
#[derive(schemars::JsonSchema)]
#[schemars(rename_all = "camelCase")]
#[allow(dead_code, reason = "describes what lists make")]
struct Meta {
    /// To be sent as `cursor` for the next page; null on the last.
    next_cursor: Option<String>,
    has_more: bool,
}

/// The codes with which an operation may be refused, by status.
fn refusals(operation: &Operation) -> BTreeMap<u16, Vec<Code>> {
    use Code::{
        Conflict, DatabaseError, DuplicateResource, ForbiddenAction, IdempotencyInProgress, IdempotencyKeyReused, InternalError,
        InvalidCredentials, InvalidToken, NotFound, PayloadTooLarge, QuotaExceeded, RateLimited, SchemaOutdated, ServiceUnavailable,
        TenantMismatch, TenantNotFound, TenantSuspended, TokenExpired, Unauthorized, UnsupportedMediaType, UserSuspended, ValidationError,
    };
    let mut codes = vec![ValidationError, TenantMismatch, RateLimited, InternalError, DatabaseError, ServiceUnavailable, SchemaOutdated];
    if operation.scope == Scope::Public {
        codes.extend([InvalidToken, TokenExpired, TenantSuspended, UserSuspended]);
    } else {
        codes.extend([
            Unauthorized,
            InvalidToken,
            TokenExpired,
            TenantNotFound,
            TenantSuspended,
            UserSuspended,
            ForbiddenAction,
            QuotaExceeded,
        ]);
    }
    if operation.derive.iter().any(|derived| derived.mode == "check") {
        codes.push(InvalidCredentials);
    }
    if operation.path_parameters().next().is_some() || operation.scope == Scope::OwnUser || operation.custom.is_some() {
        codes.push(NotFound);
    }
    if operation.content_type().is_some() || operation.custom.is_some() {
        codes.push(Conflict);
    }
    if operation.method != Method::Get {
        codes.extend([IdempotencyInProgress, IdempotencyKeyReused]);
        if operation.scope != Scope::Public {
            codes.extend([Conflict, DuplicateResource]);
        }
    }
    if operation.takes_body() {
        codes.extend([PayloadTooLarge, UnsupportedMediaType]);
    }
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    // In the order of the one table.
    for code in Code::ALL.iter().filter(|code| codes.contains(code)) {
        by_status.entry(code.status()).or_default().push(*code);
    }
    by_status
}

fn refusal(status: u16, codes: &[Code]) -> Value {
    let names = codes.iter().map(|code| code.as_str()).collect::<Vec<_>>();
    let messages =
        |language| codes.iter().map(|code| format!("`{}`: {}", code.as_str(), code.message(language))).collect::<Vec<_>>().join(" ");
    let mut headers = common_headers();
    if matches!(status, 429 | 503) {
        headers["Retry-After"] = json!({ "$ref": "#/components/headers/RetryAfter" });
    }
    let example =
        codes.first().map(|code| nebula_core::error::envelope(*code, Language::English, "01890c5e-7b4a-7c3e-9f00-1a2b3c4d5e6f", None));
    json!({
        "description": format!("{}\n\n{}", messages(Language::English), messages(Language::Portuguese)),
        "headers": headers,
        "content": { "application/json": {
            "schema": {
                "allOf": [{ "$ref": format!("{SCHEMAS}Error") }],
                "properties": { "error": { "type": "object", "properties": { "code": { "enum": names } } } },
            },
            "example": example,
        } },
    })
}

fn error_schema() -> Value {
    json!({
        "type": "object",
        "description": "Why a request was refused.",
        "required": ["error"],
        "properties": { "error": {
            "type": "object",
            "required": ["code", "message", "requestId"],
            "properties": {
                "code": { "type": "string", "enum": Code::ALL.iter().map(|code| code.as_str()).collect::<Vec<_>>() },
                "message": { "type": "string", "description": "Short and safe; in Portuguese, or in English by `Accept-Language`." },
                "requestId": { "type": "string" },
                "details": {
                    "description": "`VALIDATION_ERROR`: a list of `{field, rule}`; `FORBIDDEN_ACTION`: `{toolAction, condition}`; else what helps.",
                    "type": ["array", "object"],
                },
            },
        } },
    })
}

fn parameters() -> Value {
    json!({
        "IdempotencyKey": {
            "name": "Idempotency-Key", "in": "header", "required": false,
            "description": "The same request under the same key has one effect; a repeat within 24 hours gets the same answer.",
            "schema": { "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]{1,255}$" },
        },
        "AcceptLanguage": {
            "name": "Accept-Language", "in": "header", "required": false, "description": "The language of `error.message`: `pt` (default) or `en`.",
            "schema": { "type": "string", "examples": ["en"] },
        },
        "RequestId": {
            "name": "X-Request-Id", "in": "header", "required": false,
            "description": "Taken over if it is 8 to 128 of `A-Z a-z 0-9 . _ -`, else made anew.",
            "schema": { "type": "string", "examples": ["order-4711"] },
        },
        "TenantId": {
            "name": "X-Tenant-Id", "in": "header", "required": false,
            "description": "For service accounts of the platform that may act in other tenants; for everyone else it must be their own tenant.",
            "schema": { "type": "string", "format": "uuid" },
        },
    })
}

fn headers() -> Value {
    let header = |description: &str, schema: Value| json!({ "description": description, "schema": schema });
    let text = json!({ "type": "string" });
    json!({
        "RequestId": header("The request's id.", text.clone()),
        "RateLimit": header("What is left: `\"write\";r=1199;t=60` (draft-ietf-httpapi-ratelimit-headers).", text.clone()),
        "RateLimitPolicy": header("The limits that count this request: `\"write\";q=1200;w=60`.", text.clone()),
        "RetryAfter": header("Seconds after which the same request may succeed.", json!({ "type": "integer", "minimum": 0 })),
        "IdempotencyReplayed": header("The answer of an earlier request under the same key.", json!({ "type": "string", "const": "true" })),
        "Deprecation": header("Since when the operation is deprecated (RFC 9745).", text.clone()),
        "Sunset": header("Until when it answers (RFC 8594).", text),
    })
}

// ---- Examples ------------------------------------------------------------------------------------------------------------------

/// Gives every body and every successful answer an example, made of the examples of its types.
fn examples(document: &mut Value) {
    let schemas = document["components"]["schemas"].clone();
    let Some(paths) = document["paths"].as_object_mut() else { return };
    let operations = paths.values_mut().filter_map(Value::as_object_mut).flat_map(|methods| methods.values_mut());
    for operation in operations {
        let mut contents = vec![operation.pointer("/requestBody/content/application~1json").is_some().then_some("/requestBody".to_owned())];
        let statuses = operation["responses"].as_object().into_iter().flat_map(|responses| responses.keys().cloned()).collect::<Vec<_>>();
        contents.extend(statuses.into_iter().filter(|status| status.starts_with('2')).map(|status| Some(format!("/responses/{status}"))));
        for at in contents.into_iter().flatten() {
            if let Some(content) = operation.pointer_mut(&format!("{at}/content/application~1json")) {
                content["example"] = example(&content["schema"], &schemas, 0);
            }
        }
    }
}

/// The members that all but the first of an object's exclusive variants ask for: the example shows the first.
fn required_elsewhere(schema: &Value) -> Vec<&str> {
    let variants = schema["oneOf"].as_array().into_iter().flatten().skip(1);
    variants.filter_map(|variant| variant["required"].as_array()).flatten().filter_map(Value::as_str).collect()
}

fn example(schema: &Value, schemas: &Value, depth: usize) -> Value {
    if depth > 8 {
        return Value::Null;
    }
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.strip_prefix(SCHEMAS)) {
        return example(&schemas[name], schemas, depth + 1);
    }
    if let Some(example) = schema["examples"].as_array().and_then(|examples| examples.first()) {
        return example.clone();
    }
    for fixed in [&schema["const"], &schema["default"], &schema["enum"][0]] {
        if !fixed.is_null() {
            return fixed.clone();
        }
    }
    for choice in ["anyOf", "oneOf", "allOf"].into_iter().filter(|_| schema["properties"].is_null()) {
        if let Some(first) = schema[choice].as_array().and_then(|choices| choices.first()) {
            return example(first, schemas, depth + 1);
        }
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str());
    match kind {
        Some("object") => {
            let left_out = required_elsewhere(schema);
            let members = schema["properties"].as_object().into_iter().flatten().filter(|(name, _)| !left_out.contains(&name.as_str()));
            let mut members = members.map(|(name, member)| (name.clone(), example(member, schemas, depth + 1))).collect::<Map<_, _>>();
            // The example has every member, so that the condition of `if` holds.
            for (name, member) in schema.pointer("/then/properties").and_then(Value::as_object).into_iter().flatten() {
                members.insert(name.clone(), example(member, schemas, depth + 1));
            }
            Value::Object(members)
        }
        Some("array") => json!([example(&schema["items"], schemas, depth + 1)]),
        Some("integer" | "number") => schema.get("minimum").filter(|least| least.as_i64() > Some(0)).cloned().unwrap_or(json!(1)),
        Some("boolean") => json!(true),
        Some("string") if schema["format"] == "uuid" => json!("01890c5e-7b4a-7c3e-9f00-1a2b3c4d5e6f"),
        Some("string") => json!("text"),
        _ => Value::Null,
    }
}
