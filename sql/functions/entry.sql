-- The functions whose bodies are Rust (extension/src/entry.rs). Shape here, behaviour there.
--
-- Definer functions pin search_path, and row_security: a caller who turned that off would turn each of its calls into an error. What runs operations also
-- settles how: its plans are kept, and made when a table may still be small, so that scanning and sorting would look cheap and stay (measured: a page of a new
-- tenant's 10,000 people took 700 ms until the next analyze); and compiling one (jit) costs more than a page of a list of millions.

-- ---- For everybody's defaults, policies and triggers

create function nebula.version() returns text
language c immutable strict parallel safe as 'MODULE_PATHNAME', 'version_wrapper';
comment on function nebula.version() is 'The version of the loaded library.';

create function nebula.uuid_v7() returns uuid
language c volatile strict parallel safe as 'MODULE_PATHNAME', 'uuid_v7_wrapper';
comment on function nebula.uuid_v7() is 'A new UUIDv7 (RFC 9562): time-ordered, so that inserts stay local.';

create function nebula.random_bytes(count integer) returns bytea
language c volatile strict parallel safe as 'MODULE_PATHNAME', 'random_bytes_wrapper';
comment on function nebula.random_bytes(integer) is 'So many bytes (1 to 1024) from Postgres'' strong random source.';

create function nebula.current_tenant() returns uuid
language c stable strict parallel restricted as 'MODULE_PATHNAME', 'current_tenant_wrapper';
comment on function nebula.current_tenant() is 'The caller''s tenant, from backend memory that only a checked credential sets; null without a caller.';

create function nebula.current_actor() returns json
language c stable strict parallel restricted as 'MODULE_PATHNAME', 'current_actor_wrapper';
comment on function nebula.current_actor() is 'Who is calling: {"type", "id", "tenantId", "sessionId"}; null without a caller.';

create function nebula.audit_change() returns trigger
language c volatile security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'audit_change_wrapper';
comment on function nebula.audit_change() is 'Trigger: writes one audit_log row per changed row, with the names of changed columns and none of their values.';

create function nebula.rights_changed() returns trigger
language c volatile as 'MODULE_PATHNAME', 'rights_changed_wrapper';
comment on function nebula.rights_changed() is 'Trigger: clears every backend''s cache of rights when the transaction commits.';

-- ---- The edge's entry functions

create function nebula.handle(tenant uuid, request json) returns table (status integer, body json, context json)
language c volatile strict parallel unsafe security definer rows 1 set search_path = pg_catalog, pg_temp as 'MODULE_PATHNAME', 'handle_wrapper';
comment on function nebula.handle(uuid, json) is
  'One REST request, whole: credential, tenant, permission, idempotency, effect, audit, event, answer. The protocol is docs/edge-protocol.md.';

create function nebula.login_challenge(tenant_slug text, email text, ip text) returns json
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'login_challenge_wrapper';
comment on function nebula.login_challenge(text, text, text) is
  'Tenant, salt and cost for deriving a password''s key, stable made-up ones for who is unknown; or {"refused"} where the attempts are used up.';

create function nebula.password_challenge(tenant uuid, credential text, ip text) returns json
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'password_challenge_wrapper';
comment on function nebula.password_challenge(uuid, text, text) is
  'Salt and cost for deriving a password of the person whose credential, invite or reset token it is; or {"refused"}, so that nothing is derived for nobody.';

create function nebula.flush() returns integer
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'flush_wrapper';
comment on function nebula.flush() is
  'Writes what this backend has gathered and others have handed over: usage, and when keys were used last. Returns how many counters this backend had.';

create function nebula.hand_over_usage() returns integer
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'hand_over_usage_wrapper';
comment on function nebula.hand_over_usage() is
  'Puts what this backend has gathered where the next nebula.flush() of any backend finds it, which sums it up and writes it. Returns how many counters that were.';

create function nebula.edge_state() returns json
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'edge_state_wrapper';
comment on function nebula.edge_state() is 'What the edge must know: issuer, audience, public keys, routes.';

create function nebula.readiness() returns json
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'readiness_wrapper';
comment on function nebula.readiness() is 'Whether tables and extension are as new as the library needs: {"ready", "schemaVersion", "requiredVersion", "extensionVersion", "libraryVersion"}.';

create function nebula.openapi() returns json
language c stable strict parallel safe as 'MODULE_PATHNAME', 'openapi_wrapper';
comment on function nebula.openapi() is 'The OpenAPI 3.1 document of all operations.';

create function nebula.routes() returns json
language c stable strict parallel safe as 'MODULE_PATHNAME', 'routes_wrapper';
comment on function nebula.routes() is 'Every operation: action key, method, path, scope, kind, success status, summary.';

-- ---- The worker

create function nebula.reset_token(tenant uuid, invite_id uuid) returns text
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'reset_token_wrapper';
comment on function nebula.reset_token(uuid, uuid) is
  'The text of a password reset token that can still be used, for who delivers it; null for any other. It is stored nowhere.';

-- ---- SQL callers

create function nebula.dispatch(action text, input json, idempotency_key text)
returns table (status integer, body json, code text, details json)
language c volatile parallel unsafe security definer rows 1 set search_path = pg_catalog, pg_temp as 'MODULE_PATHNAME', 'dispatch_wrapper';
comment on function nebula.dispatch(text, json, text) is 'What nebula.call() calls: the outcome as values, so that a refusal that has written something is not rolled back here.';

create function nebula.can(action text) returns boolean
language c stable strict parallel restricted as 'MODULE_PATHNAME', 'can_wrapper';
comment on function nebula.can(text) is 'Whether the SQL caller may do the action now; false without a caller.';

create function nebula.why(action text) returns json
language c stable strict parallel restricted as 'MODULE_PATHNAME', 'why_wrapper';
comment on function nebula.why(text) is 'The decision on an action, condition by condition, in the order of the rule; null without a caller.';

-- ---- The DBA

create function nebula.migrate() returns json
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'migrate_wrapper';
comment on function nebula.migrate() is 'Applies the migrations that are missing: {"applied": [versions], "version": n, "remaining": 0}, in one transaction. Safe to call again and at the same time.';

create function nebula.migrate_next() returns json
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'migrate_next_wrapper';
comment on function nebula.migrate_next() is
  'Applies the next migration that is missing: {"applied": [version], "version": n, "remaining": n}. For who commits after each, so that no lock outlasts its migration (nebula migrate).';

create function nebula.seed() returns json
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'seed_wrapper';
comment on function nebula.seed() is 'Upserts the global catalog and the platform''s tenant: {"changed": rows}. Running it again changes nothing.';

create function nebula.seed_tenant(tenant uuid) returns json
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'seed_tenant_wrapper';
comment on function nebula.seed_tenant(uuid) is 'Upserts a tenant''s default groups and what they grant: {"changed": rows}.';

create function nebula.issue_operator_key(name text) returns text
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'issue_operator_key_wrapper';
comment on function nebula.issue_operator_key(text) is 'Makes an API key of the platform''s tenant with the profile admin; null if the name is taken. The answer is the only copy of the secret.';

create function nebula.register_signing_key(kid text, public_key bytea) returns boolean
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'register_signing_key_wrapper';
comment on function nebula.register_signing_key(text, bytea) is
  'Registers a public key (DER SubjectPublicKeyInfo) that access tokens are verified with; false if the kid is known.';

create function nebula.retire_signing_key(kid text) returns boolean
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'retire_signing_key_wrapper';
comment on function nebula.retire_signing_key(text) is 'The key signs no more and still verifies what it signed; false if there is no such key.';

create function nebula.revoke_signing_key(kid text) returns boolean
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'revoke_signing_key_wrapper';
comment on function nebula.revoke_signing_key(text) is 'Everything that the key signed is refused from the next statement on; false if there is no such key.';

create function nebula.bind_role(login text, tenant uuid, api_key_name text) returns boolean
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'bind_role_wrapper';
comment on function nebula.bind_role(text, uuid, text) is
  'Binds a login role to a service account of a tenant: its SQL acts within that key''s scope. False if there is no such key.';

create function nebula.unbind_role(login text) returns boolean
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'unbind_role_wrapper';
comment on function nebula.unbind_role(text) is 'Takes a login''s binding away: its SQL acts as nobody from the next statement on. False if it had none.';

-- ---- Other issuers: the DBA, and who keeps their keys fresh

create function nebula.register_issuer(config json) returns boolean
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'register_issuer_wrapper';
comment on function nebula.register_issuer(json) is
  'Registers another issuer of tokens or changes it, by a closed configuration (docs/operations.md, "Other issuers"); false if it is that already.';

create function nebula.replace_issuer_keys(issuer text, jwks json) returns integer
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'replace_issuer_keys_wrapper';
comment on function nebula.replace_issuer_keys(text, json) is
  'Makes the usable keys of a JWKS (RFC 7517) the issuer''s public keys: new ones count, missing ones no more. How many keys were added, changed or removed.';

create function nebula.set_issuer_secret(issuer text, secret text) returns boolean
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'set_issuer_secret_wrapper';
comment on function nebula.set_issuer_secret(text, text) is
  'Sets the secret that an issuer''s HS256 tokens are verified with (32 to 1024 bytes); false if it is that already.';

create function nebula.remove_issuer(issuer text) returns boolean
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'remove_issuer_wrapper';
comment on function nebula.remove_issuer(text) is
  'Removes an issuer with its keys: nothing that it signs counts any more. People stay linked to its name. False if there is none.';

create function nebula.issuer_state() returns json
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'issuer_state_wrapper';
comment on function nebula.issuer_state() is
  'Every issuer with where its keys are published and the names of those that are registered; no key, no secret.';
