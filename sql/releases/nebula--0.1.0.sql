-- Older servers let an install script be made to adopt or run foreign objects (CVE-2022-2625, CVE-2023-39417 and later fixes).
do $$
declare
  version integer := current_setting('server_version_num')::integer;
begin
  if version < 150014 or version between 160000 and 160009 or version between 170000 and 170005 then
    raise exception 'Postgres % is too old for Nebula: 15.14, 16.10, 17.6 or later is needed', current_setting('server_version');
  end if;
end
$$;

-- The roles (design, section 2). They are cluster-global: another database of the cluster may have made them already, so each
-- is made only where it is missing, and then held to its attributes: a role that somebody prepared with more is refused.
do $$
declare
  wanted record;
begin
  for wanted in
    select *
    from (values
      ('nebula_owner', false),
      ('nebula_platform', false),
      ('nebula_app', false),
      ('nebula_edge', true),
      ('nebula_keys', true),
      ('nebula_worker', true)
    ) as role (name, can_login)
  loop
    if not exists (select from pg_catalog.pg_roles where rolname = wanted.name) then
      execute pg_catalog.format(
        'create role %I nosuperuser nocreatedb nocreaterole noreplication nobypassrls noinherit %s',
        wanted.name,
        case when wanted.can_login then 'login' else 'nologin' end
      );
    end if;
    if exists (
      select
      from pg_catalog.pg_roles
      where rolname = wanted.name
        and (rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication or rolcanlogin <> wanted.can_login)
    ) then
      raise exception 'role % exists with attributes that Nebula does not give it', wanted.name
        using hint = 'Drop the role, or take superuser, bypassrls, createrole, createdb and replication away from it.';
    end if;
    -- A member of one of our roles could act as it; a membership of one of ours would lend it foreign rights.
    if exists (
      select
      from pg_catalog.pg_auth_members m
      join pg_catalog.pg_roles granted on granted.oid = m.roleid
      join pg_catalog.pg_roles member on member.oid = m.member
      where (granted.rolname = wanted.name and wanted.name <> 'nebula_app' and not member.rolsuper)
         or (member.rolname = wanted.name)
    ) then
      raise exception 'role % has members or memberships that Nebula does not give it', wanted.name
        using hint = 'Revoke them and create the extension again.';
    end if;
  end loop;
end
$$;

-- Credentials travel as parameters: they stay out of the log whatever the server's settings are. Set only where it differs: two databases of a
-- cluster may create the extension at the same time.
do $$
declare
  wanted record;
begin
  for wanted in
    select *
    from (values
      ('nebula_edge', 'log_parameter_max_length', '0'),
      ('nebula_edge', 'log_parameter_max_length_on_error', '0'),
      ('nebula_edge', 'statement_timeout', '15s'),
      ('nebula_edge', 'timezone', 'UTC'),
      ('nebula_edge', 'idle_in_transaction_session_timeout', '10s'),
      ('nebula_keys', 'statement_timeout', '15s'),
      ('nebula_keys', 'idle_in_transaction_session_timeout', '10s'),
      ('nebula_worker', 'log_parameter_max_length', '0'),
      ('nebula_worker', 'log_parameter_max_length_on_error', '0'),
      ('nebula_worker', 'idle_in_transaction_session_timeout', '60s')
    ) as setting (role, name, value)
  loop
    continue when exists (
      select
      from pg_catalog.pg_db_role_setting s
      join pg_catalog.pg_roles r on r.oid = s.setrole
      where r.rolname = wanted.role and s.setdatabase = 0 and wanted.name || '=' || wanted.value = any (s.setconfig)
    );
    execute pg_catalog.format('alter role %I set %I = %L', wanted.role, wanted.name, wanted.value);
  end loop;
end
$$;

-- Nothing is adopted: the schema holds nothing that an attacker could have prepared (CVE-2022-2625). Tables are the exception, after
-- `drop extension` and in a restore; they must be ours.
do $$
begin
  if exists (
    select
    from pg_catalog.pg_namespace n
    join pg_catalog.pg_roles r on r.oid = n.nspowner
    where n.nspname = 'nebula' and not r.rolsuper and r.rolname <> session_user
  ) then
    raise exception 'schema nebula belongs to neither a superuser nor who installs';
  end if;
  if exists (
    select
    from pg_catalog.pg_proc
    where pronamespace = 'nebula'::regnamespace
  ) or exists (
    select
    from pg_catalog.pg_operator
    where oprnamespace = 'nebula'::regnamespace
  ) or exists (
    select
    from pg_catalog.pg_class c
    join pg_catalog.pg_roles r on r.oid = c.relowner
    where c.relnamespace = 'nebula'::regnamespace and r.rolname <> 'nebula_owner'
  ) then
    raise exception 'schema nebula holds objects that are not Nebula''s'
      using hint = 'Drop them and create the extension again.';
  end if;
end
$$;

grant usage, create on schema nebula to nebula_owner;
grant usage on schema nebula to nebula_platform, nebula_edge, nebula_keys, nebula_worker, nebula_app;

create type nebula.status as enum ('ativo', 'suspenso');
comment on type nebula.status is 'Whether a row counts: ativo (active) or suspenso (suspended).';
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
language c volatile strict parallel unsafe security definer rows 1 set search_path = pg_catalog, pg_temp set row_security = on set jit = off set enable_seqscan = off set enable_sort = off as 'MODULE_PATHNAME', 'handle_wrapper';
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
comment on function nebula.flush() is 'Writes what this backend has gathered: usage, and when keys were used last. Returns how many rows were written.';

create function nebula.edge_state() returns json
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'edge_state_wrapper';
comment on function nebula.edge_state() is 'What the edge must know: issuer, audience, public keys, routes.';

create function nebula.readiness() returns json
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'readiness_wrapper';
comment on function nebula.readiness() is 'Whether the tables are as new as the library needs: {"ready", "schemaVersion", "requiredVersion"}.';

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
language c volatile parallel unsafe security definer rows 1 set search_path = pg_catalog, pg_temp set row_security = on set jit = off set enable_seqscan = off set enable_sort = off as 'MODULE_PATHNAME', 'dispatch_wrapper';
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
comment on function nebula.migrate() is 'Applies the migrations that are missing: {"applied": [versions], "version": n}. Safe to call again and at the same time.';

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
-- Events, and the worker's side of them. Behaviour is in extension/src/kernel/outbox.rs and queue.rs.

create function nebula.emit_event(kind text, data json, aggregate text, tenant uuid, available_at text) returns uuid
language c volatile parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on set jit = off set enable_seqscan = off set enable_sort = off as 'MODULE_PATHNAME', 'emit_event_wrapper';
comment on function nebula.emit_event(text, json, text, uuid, text) is
  'What nebula.emit() calls.';

create function nebula.emit(type text, data jsonb default '{}', aggregate text default null, tenant uuid default null, available_at timestamptz default null)
returns uuid
language sql volatile parallel unsafe set search_path = pg_catalog, pg_temp
as $$
  select nebula.emit_event(emit.type, emit.data::json, emit.aggregate, emit.tenant, emit.available_at::text)
$$;
comment on function nebula.emit(text, jsonb, text, uuid, timestamptz) is
  'Writes an event in the caller''s transaction, for the tenant''s webhooks; its id. Of the caller''s tenant, or of the one that a DBA''s code names. Events about the same aggregate are delivered in order.';

create function nebula.claim(worker text, "limit" integer, lease interval, per_tenant integer default null, busy uuid[] default '{}', jobs_only boolean default false) returns table (id uuid, tenant_id uuid, kind text, data json, attempt integer, created_at timestamptz, aggregate text)
language c volatile parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on set jit = off set enable_seqscan = off set enable_sort = off as 'MODULE_PATHNAME', 'claim_wrapper';
comment on function nebula.claim(text, integer, interval, integer, uuid[], boolean) is
  'Leases due jobs: of as many tenants as have some, at most per_tenant of each, none of the busy ones; with jobs_only no events. Raises 55000 in a copy of the database.';

create function nebula.complete(worker text, ids uuid[], attempts integer[]) returns table (id uuid)
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on set jit = off set enable_seqscan = off set enable_sort = off as 'MODULE_PATHNAME', 'complete_wrapper';
comment on function nebula.complete(text, uuid[], integer[]) is
  'Finishes jobs; those whose lease was still this worker''s.';

create function nebula.fail(worker text, id uuid, attempt integer, error text, retry_after interval default null, dead boolean default false) returns text
language c volatile parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on set jit = off set enable_seqscan = off set enable_sort = off as 'MODULE_PATHNAME', 'fail_wrapper';
comment on function nebula.fail(text, uuid, integer, text, interval, boolean) is
  'Reports a failed attempt: the job''s new status, pending (after a wait of the tenant''s profile) or dead; null where the lease was lost.';

create function nebula.extend(worker text, ids uuid[], attempts integer[], lease interval) returns table (id uuid)
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on set jit = off set enable_seqscan = off set enable_sort = off as 'MODULE_PATHNAME', 'extend_wrapper';
comment on function nebula.extend(text, uuid[], integer[], interval) is
  'Prolongs leases; those that are still this worker''s.';

create function nebula.requeue(id uuid) returns boolean
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on set jit = off set enable_seqscan = off set enable_sort = off as 'MODULE_PATHNAME', 'requeue_wrapper';
comment on function nebula.requeue(uuid) is
  'A dead job waits again, as if it had never failed; false if there is none.';

create function nebula.fan_out(worker text, ids uuid[], attempts integer[]) returns integer
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on set jit = off set enable_seqscan = off set enable_sort = off as 'MODULE_PATHNAME', 'fan_out_wrapper';
comment on function nebula.fan_out(text, uuid[], integer[]) is
  'For leased events: one job a subscription that wants one, and the events are done. How many of them.';

create function nebula.wait_for_work(timeout_ms integer) returns boolean
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'wait_for_work_wrapper';
comment on function nebula.wait_for_work(integer) is
  'Returns when work was committed that this session was not told of, or after the timeout; whether there was some.';

create function nebula.relay(worker text, "limit" integer) returns integer
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on set jit = off set enable_seqscan = off set enable_sort = off as 'MODULE_PATHNAME', 'relay_wrapper';
comment on function nebula.relay(text, integer) is
  'Hands due events on without a lease, in one transaction: one job a subscription that wants one, and they are done. How many were due. Raises 55000 in a copy of the database.';
-- What every worker asks first: whether this database may send, and whose turn a task is.

create function nebula.may_deliver() returns boolean
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'may_deliver_wrapper';
comment on function nebula.may_deliver() is
  'Whether this database stands where it was installed or adopted: a copy delivers nothing.';

create function nebula.delivery_place_here() returns text
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'delivery_place_here_wrapper';
comment on function nebula.delivery_place_here() is
  'The fingerprint of where this database stands: cluster, database and file.';

create function nebula.adopt_here() returns text
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'adopt_here_wrapper';
comment on function nebula.adopt_here() is
  'Makes the present place one that this database may send from; its fingerprint.';

create function nebula.start_task(worker text, name text, every interval, lease interval) returns boolean
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'start_task_wrapper';
comment on function nebula.start_task(text, text, interval, interval) is
  'Takes the turn at a periodic task if it is due and nobody has it. Raises 55000 in a copy of the database.';

create function nebula.finish_task(worker text, name text, error text default null) returns void
language c volatile parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'finish_task_wrapper';
comment on function nebula.finish_task(text, text, text) is
  'Gives the turn back, with why it failed if it did.';
-- Deliveries of webhooks, for the worker. Behaviour is in extension/src/domain/webhook_delivery.rs.

create function nebula.webhook_requests(worker text, ids uuid[], attempts integer[])
returns table (
  id uuid, tenant_id uuid, webhook_id uuid, url text, secret bytea, secret_version integer, previous_secret bytea, previous_secret_version integer,
  event_id uuid, body text
)
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on set jit = off set enable_seqscan = off set enable_sort = off as 'MODULE_PATHNAME', 'webhook_requests_wrapper';
comment on function nebula.webhook_requests(text, uuid[], integer[]) is
  'What is to be sent for leased jobs, secrets sealed. No url: nothing, since the webhook is gone or suspended; no body: the event is not kept any more; no row: the lease is lost.';

create function nebula.record_deliveries(worker text, outcomes json) returns integer
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on set jit = off set enable_seqscan = off set enable_sort = off as 'MODULE_PATHNAME', 'record_deliveries_wrapper';
comment on function nebula.record_deliveries(text, json) is
  'Writes down attempts: [{"id", "tenantId", "attempt", "statusCode"?, "latencyMs", "error"?, "retryAfterSeconds"?}]; finishes or fails their jobs, and suspends webhooks that are gone or have failed for days. How many were written.';
-- What is too old: partitions, archives, tokens. Behaviour is in extension/src/kernel/{partition,retention,expiry}.rs.
--
-- What looks from tenant to tenant, or at a page, is planned for large tables (as in entry.sql), and compiled never: that took 0.7 s of each page.
-- Whatever needs a strong lock on a table that every request writes waits a quarter of a second for it at most: whoever comes meanwhile waits behind it.

-- ---- The worker

create function nebula.retention_plan() returns json
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on set timezone = 'UTC' set datestyle = 'ISO' set jit = off as 'MODULE_PATHNAME', 'retention_plan_wrapper';
comment on function nebula.retention_plan() is
  'Months of which something may go: a list of {"source", "month", "isDroppable", "archive": [{"tenant", "location", "expiresAt"}], "archived": [the same]}.';

create function nebula.archive_columns(source text) returns text
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'archive_columns_wrapper';
comment on function nebula.archive_columns(text) is 'The columns that an archived row has, separated by commas; personal ones are not among them. Null for a table that is not archived.';

create function nebula.archive_page(tenant uuid, source text, month text, "position" text, "limit" integer)
returns table (lines text, row_count integer, next_position text)
language c volatile strict parallel unsafe security definer rows 1 set search_path = pg_catalog, pg_temp set row_security = on set timezone = 'UTC' set datestyle = 'ISO' set jit = off set enable_seqscan = off set enable_sort = off as 'MODULE_PATHNAME', 'archive_page_wrapper';
comment on function nebula.archive_page(uuid, text, text, text, integer) is
  'The next rows (5000 at most) of a tenant''s month that is due to be archived, one JSON object a line; begins with the position ''''. No row where nothing is due or nothing is left.';

create function nebula.record_archive(tenant uuid, source text, month text, row_count bigint, sha256 bytea) returns boolean
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on set timezone = 'UTC' set datestyle = 'ISO' set jit = off as 'MODULE_PATHNAME', 'record_archive_wrapper';
comment on function nebula.record_archive(uuid, text, text, bigint, bytea) is
  'Remembers that a tenant''s month stands in object storage; false where it is not due, or where the database counts another number of rows.';

create function nebula.drop_partition(source text, month text, keep uuid[]) returns text
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on set timezone = 'UTC' set datestyle = 'ISO' set lock_timeout = '250ms' set jit = off as 'MODULE_PATHNAME', 'drop_partition_wrapper';
comment on function nebula.drop_partition(text, text, uuid[]) is
  'Lets go of a month''s rows that are expired, and archived where their tenant''s profile says so: dropped (the partition is gone), rebuilt (others'' rows, and those of tenants in keep, are in a fresh one), '
  'kept (nothing may go), or null where there is no such partition.';

create function nebula.settle_default(source text) returns bigint
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on set timezone = 'UTC' set datestyle = 'ISO' set lock_timeout = '250ms' as 'MODULE_PATHNAME', 'settle_default_wrapper';
comment on function nebula.settle_default(text) is
  'Brings rows of the default partition into partitions of their months, which are made; how many rows it brought. Whoever writes into the default partition waits meanwhile.';

create function nebula.expired_archives() returns table (tenant uuid, id uuid, location text)
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'expired_archives_wrapper';
comment on function nebula.expired_archives() is 'Archives whose time is over, a thousand at most: their objects are to be removed, then they are to be forgotten.';

create function nebula.forget_archive(tenant uuid, id uuid) returns boolean
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'forget_archive_wrapper';
comment on function nebula.forget_archive(uuid, uuid) is 'Forgets an archive whose objects were removed; false where its time is not over.';

create function nebula.purge("limit" integer) returns json
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on set timezone = 'UTC' set lock_timeout = '2s' as 'MODULE_PATHNAME', 'purge_wrapper';
comment on function nebula.purge(integer) is
  'Deletes so many (10000 at most) expired rows of each table that keeps none: {"table": rows}. To be called again as long as a table answers as many as were asked for.';

-- ---- Changing partitions: DDL as the tables' owner, for the functions above alone. A part is YYYY_MM or default: the end of a partition's name.

create function nebula.copy_partition(source text, origin text, part text) returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
set datestyle = 'ISO'
as $$
declare
  copy constant text := format('%s_%s_copy', source, part);
  key_column name;
begin
  execute format('create table nebula.%I (like nebula.%I including all)', copy, origin);
  if part <> 'default' then
    -- Proves the bounds, so that attaching reads no row.
    select a.attname into strict key_column
    from pg_partitioned_table p
    join pg_attribute a on a.attrelid = p.partrelid and a.attnum = p.partattrs[0]
    where p.partrelid = format('nebula.%I', source)::regclass;
    execute format(
      'alter table nebula.%I add constraint ck_partition_bounds check (%I >= %L and %2$I < %4$L)',
      copy, key_column, to_date(part, 'YYYY_MM') || ' 00:00:00+00', (to_date(part, 'YYYY_MM') + interval '1 month')::date || ' 00:00:00+00'
    );
  end if;
  execute format('grant insert on nebula.%I to nebula_platform', copy);
end
$$;
comment on function nebula.copy_partition(text, text, text) is 'Makes an empty table like the partition origin, to be filled and exchanged for it.';

create function nebula.exchange_partition(source text, origin text, parts text[]) returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
set datestyle = 'ISO'
set lock_timeout = '250ms'
as $$
declare
  tries constant integer := 20;
  origin_comment constant text := obj_description(format('nebula.%I', origin)::regclass, 'pg_class');
  part text;
  partition text;
  index_name text;
begin
  foreach part in array parts loop
    partition := format('%s_%s', source, part);
    execute format('revoke all on nebula.%I from nebula_platform', partition || '_copy');
    perform nebula.govern_partition(format('nebula.%I', partition || '_copy')::regclass);
    execute format(
      'comment on table nebula.%I is %L',
      partition || '_copy', case when part = 'default' then origin_comment else format('Rows of %s of %s (UTC).', source, replace(part, '_', '-')) end
    );
    execute format('analyze nebula.%I', partition || '_copy');
  end loop;

  for attempt in 1 .. tries loop
    begin
      execute format('drop table nebula.%I', origin);
      foreach part in array parts loop
        partition := format('%s_%s', source, part);
        execute format('alter table nebula.%I rename to %I', partition || '_copy', partition);
        if part = 'default' then
          execute format('alter table nebula.%I attach partition nebula.%I default', source, partition);
        else
          execute format(
            'alter table nebula.%I attach partition nebula.%I for values from (%L) to (%L)',
            source, partition, to_date(part, 'YYYY_MM') || ' 00:00:00+00', (to_date(part, 'YYYY_MM') + interval '1 month')::date || ' 00:00:00+00'
          );
          execute format('alter table nebula.%I drop constraint ck_partition_bounds', partition);
        end if;
      end loop;
      exit;
    exception
      -- Somebody reads or writes: nobody is made to wait long. What was copied is kept for the next try.
      when lock_not_available or deadlock_detected then
        if attempt = tries then
          raise;
        end if;
        perform pg_sleep(0.25);
    end;
  end loop;

  -- Names as if the partition had been made in place.
  foreach part in array parts loop
    for index_name in
      select x.relname
      from pg_index i
      join pg_class x on x.oid = i.indexrelid
      where i.indrelid = format('nebula.%I', format('%s_%s', source, part))::regclass and strpos(x.relname, '_copy_') > 0
    loop
      continue when to_regclass(format('nebula.%I', replace(index_name, '_copy_', '_'))) is not null;
      execute format('alter index nebula.%I rename to %I', index_name, replace(index_name, '_copy_', '_'));
    end loop;
  end loop;
end
$$;
comment on function nebula.exchange_partition(text, text, text[]) is
  'Drops the partition origin whole and puts filled copies in its place, in one transaction. Tries for ten seconds to get the locks.';
-- A tenant out of the database and into one. The worker's functions say by which lease they are called, and read the rows of that job's tenant alone; an
-- import is the DBA's.

create function nebula.start_export(worker text, job uuid, attempt integer) returns json
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'start_export_wrapper';
comment on function nebula.start_export(text, uuid, integer) is
  'Begins an attempt at an export: {"format", "location", "earlier": locations of earlier attempts}; null where there is nothing to do any more.';

create function nebula.export_tables(worker text, job uuid, attempt integer) returns json
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'export_tables_wrapper';
comment on function nebula.export_tables(text, uuid, integer) is
  'What an export holds: the tenant, its tables with their columns and secrets, and the keys of the global rows that they refer to.';

create function nebula.export_rows(worker text, job uuid, attempt integer, "table" text, after text, "limit" integer) returns table (place text, line text)
language c volatile strict parallel unsafe security definer rows 1000 set search_path = pg_catalog, pg_temp set row_security = on set timezone = 'UTC' set datestyle = 'ISO' set intervalstyle = 'postgres' set extra_float_digits = 1 set bytea_output = 'hex' set jit = off set enable_seqscan = off set enable_sort = off as 'MODULE_PATHNAME', 'export_rows_wrapper';
comment on function nebula.export_rows(text, uuid, integer, text, text, integer) is
  'A page of a table of the export''s tenant: each row as JSON, and where it stands; after is where the page before ended, empty for the first.';

create function nebula.finish_export(worker text, job uuid, attempt integer, outcome json) returns boolean
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'finish_export_wrapper';
comment on function nebula.finish_export(text, uuid, integer, json) is
  'The file is there: {"rowCount", "sizeBytes", "sha256", "hours"}. False where that comes too late, and the file is to be removed.';

create function nebula.expire_exports() returns integer
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'expire_exports_wrapper';
comment on function nebula.expire_exports() is
  'Has files whose time has passed removed, and tells of exports whose work is dead that they have failed. How many of both.';

create function nebula.open_export(tenant text) returns uuid
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'open_export_wrapper';
comment on function nebula.open_export(text) is
  'For a DBA: lets this transaction read a tenant, by id or slug, with nebula.export_tables and nebula.export_rows; the tenant''s log tells. Null where there is none.';

create function nebula.begin_import(manifest json) returns json
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'begin_import_wrapper';
comment on function nebula.begin_import(json) is
  'For a DBA: lets this transaction load a tenant that is not here yet, and tells how: {"tables", "references": {table: {id there: id here}}}. The platform''s log tells.';

create function nebula.import_rows("table" text, columns json, rows json) returns integer
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on set timezone = 'UTC' as 'MODULE_PATHNAME', 'import_rows_wrapper';
comment on function nebula.import_rows(text, json, json) is
  'For a DBA, after nebula.begin_import: loads rows of the tenant as they are, without events or audit rows. How many were loaded.';
-- Sealed secrets: which key is which version, sealing anew, and what is revealed to whom. Behaviour: extension/src/entry/credential.rs.

-- ---- The DBA

create function nebula.register_sealing_key(version integer, fingerprint bytea) returns boolean
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'register_sealing_key_wrapper';
comment on function nebula.register_sealing_key(integer, bytea) is
  'Registers which key a version of the sealing keys is; false if it is registered as another one. Edges and workers use registered keys alone.';

create function nebula.sealed_row_counts() returns table (version integer, row_count bigint)
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'sealed_row_counts_wrapper';
comment on function nebula.sealed_row_counts() is 'How many values each version of the sealing keys still seals: one that seals none is needed no more.';

-- ---- The worker

create function nebula.sealing_keys() returns table (version integer, fingerprint bytea)
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'sealing_keys_wrapper';
comment on function nebula.sealing_keys() is 'The registered sealing keys, by number and fingerprint.';

create function nebula.sealed_rows(source text, below_version integer, after_tenant uuid, after_id uuid, "limit" integer)
returns table (tenant_id uuid, id uuid, key_version integer, sealed bytea)
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'sealed_rows_wrapper';
comment on function nebula.sealed_rows(text, integer, uuid, uuid, integer) is
  'The next values of a column (table.column) that an older key than this has sealed, after a tenant''s row, at most 1000.';

create function nebula.reseal(source text, tenant uuid, id uuid, old_version integer, old_sealed bytea, new_version integer, new_sealed bytea) returns boolean
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'reseal_wrapper';
comment on function nebula.reseal(text, uuid, uuid, integer, bytea, integer, bytea) is
  'Puts a value that was sealed anew into its place; false, and nothing is changed, where the place holds another one by now.';

create function nebula.reveal_credential(tenant uuid, id uuid, provider text, name text, purpose text, worker text)
returns table (outcome text, credential_id uuid, sealed bytea, key_version integer)
language c volatile parallel unsafe security definer rows 1 set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'reveal_credential_wrapper';
comment on function nebula.reveal_credential(uuid, uuid, text, text, text, text) is
  'A tenant''s credential, sealed, by id or by provider and name; in the same transaction the tenant''s audit log tells who got it, and what for.';
-- Anonymising again what a restored backup has brought back. Behaviour: extension/src/entry/privacy.rs.

create function nebula.anonymize_again(tenant uuid, "user" uuid) returns text
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'anonymize_again_wrapper';
comment on function nebula.anonymize_again(uuid, uuid) is
  'Anonymises somebody who was anonymised before: anonymized, already (nothing was to be done) or unknown. For what a restored backup has brought back.';

create function nebula.is_erasing() returns boolean
language c volatile strict parallel unsafe as 'MODULE_PATHNAME', 'is_erasing_wrapper';
comment on function nebula.is_erasing() is 'Whether this backend is anonymising somebody now, from backend memory that no statement can set.';

create function nebula.refuse_change_but_erasure() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  old.ip := null;
  old.user_agent := null;
  if current_user = 'nebula_platform' and nebula.is_erasing() and new is not distinct from old then
    return new;
  end if;
  raise exception 'rows of %.% are never changed', tg_table_schema, tg_table_name
    using errcode = 'insufficient_privilege';
end
$$;
comment on function nebula.refuse_change_but_erasure() is
  'Trigger: refuses every update of the audit log but one: anonymising takes address and user agent away (docs/decisions/0015-erasure-in-the-audit-log.md).';
-- What migrations call for each table: one form of policy, one set of triggers, made in one place.

create function nebula.touch_updated_at() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Null is how an update says that nothing was changed which anybody sees: a secret that was sealed anew.
  new.updated_at := case when new.updated_at is null then old.updated_at else pg_catalog.now() end;
  return new;
end
$$;
comment on function nebula.touch_updated_at() is 'Trigger: sets updated_at to the time of the transaction, unless the update sets it to null: then it stays.';

create function nebula.refuse_change() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  raise exception 'rows of %.% are never changed', tg_table_schema, tg_table_name
    using errcode = 'insufficient_privilege';
end
$$;
comment on function nebula.refuse_change() is 'Trigger: refuses update, delete and truncate of rows that are history.';

create function nebula.govern_tenant_table(
  target regclass,
  tenant_column name default 'tenant_id',
  audited boolean default true,
  decides_rights boolean default false
) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  execute format('alter table %s enable row level security', target);
  execute format('alter table %s force row level security', target);
  -- Exactly this form: STABLE Rust that returns backend memory keeps the index and costs nothing per row (design, section 3).
  execute format(
    'create policy tenant_isolation on %s using (%I = nebula.current_tenant()) with check (%2$I = nebula.current_tenant())',
    target, tenant_column
  );
  execute format('create policy platform_access on %s to nebula_platform using (true) with check (true)', target);
  perform nebula.govern_table(target, audited, decides_rights);
end
$$;
comment on function nebula.govern_tenant_table(regclass, name, boolean, boolean) is
  'Makes a table of the schema nebula tenant-safe: RLS enabled and forced, the one policy, audit and cache triggers. For migrations.';

create function nebula.govern_table(target regclass, audited boolean default true, decides_rights boolean default false) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  unobserved text;
begin
  execute format('revoke all on %s from public', target);
  execute format('grant select, insert, update, delete on %s to nebula_platform', target);
  if exists (
    select
    from pg_attribute
    where attrelid = target and attname = 'updated_at' and not attisdropped
  ) then
    -- What the product notes by itself, alone in its statement, is no change of the row (extension/src/kernel/audit.rs has the same list).
    select 'when (' || string_agg(format('old.%1$I is not distinct from new.%1$I', attname), ' and ') || ')' into unobserved
    from pg_attribute
    where attrelid = target and attname in ('last_used_at', 'failing_since') and not attisdropped;
    execute format(
      'create trigger touch_updated_at before update on %s for each row %s execute function nebula.touch_updated_at()',
      target, coalesce(unobserved, '')
    );
  end if;
  if audited then
    execute format(
      'create trigger audit_insert after insert on %s referencing new table as new_rows '
      'for each statement execute function nebula.audit_change()', target);
    execute format(
      'create trigger audit_update after update on %s referencing old table as old_rows new table as new_rows '
      'for each statement execute function nebula.audit_change()', target);
    execute format(
      'create trigger audit_delete after delete on %s referencing old table as old_rows '
      'for each statement execute function nebula.audit_change()', target);
    -- Also where somebody sets session_replication_role: that setting is no way around the audit.
    execute format('alter table %s enable always trigger audit_insert', target);
    execute format('alter table %s enable always trigger audit_update', target);
    execute format('alter table %s enable always trigger audit_delete', target);
  end if;
  if decides_rights then
    execute format(
      'create trigger rights_changed after insert or update or delete or truncate on %s '
      'for each statement execute function nebula.rights_changed()', target);
    execute format('alter table %s enable always trigger rights_changed', target);
  end if;
end
$$;
comment on function nebula.govern_table(regclass, boolean, boolean) is
  'Privileges and triggers that every table of the schema nebula gets. For migrations.';

create function nebula.govern_partition(target regclass) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  -- The parent's policies don't bind who names a partition.
  execute format('alter table %s enable row level security', target);
  execute format('alter table %s force row level security', target);
  execute format(
    'create policy tenant_isolation on %s using (tenant_id = nebula.current_tenant()) with check (tenant_id = nebula.current_tenant())', target
  );
  execute format('create policy platform_access on %s to nebula_platform using (true) with check (true)', target);
  execute format('revoke all on %s from public', target);
  execute format('revoke update, delete, truncate on %s from nebula_owner', target);
  execute format('grant select on %s to nebula_platform', target);
  -- Statement triggers are not inherited by partitions.
  execute format('create trigger refuse_truncate before truncate on %s for each statement execute function nebula.refuse_change()', target);
  execute format('alter table %s enable always trigger refuse_truncate', target);
end
$$;
comment on function nebula.govern_partition(regclass) is 'Makes a monthly partition as safe as its parent; itself it is only read. For migrations and partition maintenance.';

create function nebula.ensure_partitions(months_ahead integer default 12) returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
declare
  parent text;
  month date;
  partition text;
  made integer := 0;
begin
  if months_ahead not between 0 and 120 then
    raise exception 'months_ahead is 0 to 120' using errcode = 'invalid_parameter_value';
  end if;
  for parent, month in
    select p.name, m
    from unnest(array['audit_log', 'usage_metrics', 'webhook_delivery', 'outbox_finished']) p (name)
    cross join generate_series(date_trunc('month', now() at time zone 'utc'), date_trunc('month', now() at time zone 'utc') + make_interval(months => months_ahead), interval '1 month') m
  loop
    partition := format('%s_%s', parent, to_char(month, 'YYYY_MM'));
    if to_regclass('nebula.' || partition) is null then
      begin
        execute format(
          'create table nebula.%I partition of nebula.%I for values from (%L) to (%L)',
          partition, parent, month || ' 00:00:00+00', (month + interval '1 month')::date || ' 00:00:00+00'
        );
      exception
        -- Rows of that month are in the default partition: nebula.settle_default brings them out.
        when check_violation then
          raise warning 'partition % was not made: %_default holds rows of that month', partition, parent;
          continue;
      end;
      execute format('comment on table nebula.%I is %L', partition, format('Rows of %s of %s (UTC).', parent, to_char(month, 'YYYY-MM')));
      perform nebula.govern_partition(format('nebula.%I', partition)::regclass);
      made := made + 1;
    end if;
  end loop;
  return made;
end
$$;
comment on function nebula.ensure_partitions(integer) is
  'Makes the missing monthly partitions of this month and so many ahead; returns how many it made. Called by nebula.migrate() and by workers.';
-- What SQL callers call. Errors are raised here, outside of Rust, since pgrx would replace their SQLSTATE (pitfalls): PTnnn is what PostgREST turns
-- into HTTP status nnn; DETAIL is {"code", "details"}.

create function nebula.call(action text, input jsonb default '{}', idempotency_key text default null) returns jsonb
language plpgsql
volatile
parallel unsafe
set search_path = pg_catalog, pg_temp
as $$
declare
  answer record;
begin
  if action is null or jsonb_typeof(input) is distinct from 'object' then
    raise exception using
      errcode = 'PT400',
      message = 'Os dados enviados são inválidos.',
      detail = '{"code":"VALIDATION_ERROR","details":[{"field":"input","rule":"type"}]}';
  end if;
  select d.status, d.body, d.code, d.details into answer from nebula.dispatch(action, input::json, idempotency_key) d;
  if answer.code is not null then
    raise exception using
      errcode = 'PT' || answer.status,
      message = answer.body #>> '{}',
      detail = json_build_object('code', answer.code, 'details', answer.details)::text;
  end if;
  return answer.body::jsonb;
end
$$;
comment on function nebula.call(text, jsonb, text) is
  'Does an operation as the SQL caller, by the rules of the REST API: {"data", "meta"?}. Errors: SQLSTATE PTnnn, DETAIL {"code", "details"}.';
-- One typed function per common operation: named, typed arguments, and otherwise nebula.call().

create function nebula.create_user(email text, name text, idempotency_key text default null) returns jsonb
language sql
volatile
parallel unsafe
set search_path = pg_catalog, pg_temp
as $$
  select nebula.call('users.create', jsonb_strip_nulls(jsonb_build_object('email', create_user.email, 'name', create_user.name)), create_user.idempotency_key)
$$;
comment on function nebula.create_user(text, text, text) is 'Creates a user (`users.create`). Errors as of nebula.call().';

create function nebula.get_user(id uuid) returns jsonb
language sql
volatile
parallel unsafe
set search_path = pg_catalog, pg_temp
as $$
  select nebula.call('users.read', jsonb_strip_nulls(jsonb_build_object('id', get_user.id)))
$$;
comment on function nebula.get_user(uuid) is 'Shows a user (`users.read`). Errors as of nebula.call().';

create function nebula.list_users(limit_ integer default 50, cursor text default null, sort text default null, status text default null, q text default null) returns jsonb
language sql
volatile
parallel unsafe
set search_path = pg_catalog, pg_temp
as $$
  select nebula.call('users.list', jsonb_strip_nulls(jsonb_build_object('limit', list_users.limit_, 'cursor', list_users.cursor, 'sort', list_users.sort, 'status', list_users.status, 'q', list_users.q)))
$$;
comment on function nebula.list_users(integer, text, text, text, text) is 'Lists users (`users.list`). Errors as of nebula.call().';

create function nebula.update_user(id uuid, email text default null, name text default null, idempotency_key text default null) returns jsonb
language sql
volatile
parallel unsafe
set search_path = pg_catalog, pg_temp
as $$
  select nebula.call('users.update', jsonb_strip_nulls(jsonb_build_object('id', update_user.id, 'email', update_user.email, 'name', update_user.name)), update_user.idempotency_key)
$$;
comment on function nebula.update_user(uuid, text, text, text) is 'Changes a user (`users.update`). Errors as of nebula.call().';

create function nebula.set_user_status(id uuid, status text, suspended_reason text default null, idempotency_key text default null) returns jsonb
language sql
volatile
parallel unsafe
set search_path = pg_catalog, pg_temp
as $$
  select nebula.call('users.status', jsonb_strip_nulls(jsonb_build_object('id', set_user_status.id, 'status', set_user_status.status, 'suspendedReason', set_user_status.suspended_reason)), set_user_status.idempotency_key)
$$;
comment on function nebula.set_user_status(uuid, text, text, text) is 'Suspends or reactivates a user (`users.status`). Errors as of nebula.call().';

create function nebula.invite_user(id uuid, idempotency_key text default null) returns jsonb
language sql
volatile
parallel unsafe
set search_path = pg_catalog, pg_temp
as $$
  select nebula.call('users.invite', jsonb_strip_nulls(jsonb_build_object('id', invite_user.id)), invite_user.idempotency_key)
$$;
comment on function nebula.invite_user(uuid, text) is 'Makes a one-time invite (`users.invite`). Errors as of nebula.call().';

create function nebula.create_group(name text, description text default null, idempotency_key text default null) returns jsonb
language sql
volatile
parallel unsafe
set search_path = pg_catalog, pg_temp
as $$
  select nebula.call('groups.create', jsonb_strip_nulls(jsonb_build_object('name', create_group.name, 'description', create_group.description)), create_group.idempotency_key)
$$;
comment on function nebula.create_group(text, text, text) is 'Creates a group (`groups.create`). Errors as of nebula.call().';

create function nebula.list_groups(limit_ integer default 50, cursor text default null, sort text default null, status text default null, q text default null) returns jsonb
language sql
volatile
parallel unsafe
set search_path = pg_catalog, pg_temp
as $$
  select nebula.call('groups.list', jsonb_strip_nulls(jsonb_build_object('limit', list_groups.limit_, 'cursor', list_groups.cursor, 'sort', list_groups.sort, 'status', list_groups.status, 'q', list_groups.q)))
$$;
comment on function nebula.list_groups(integer, text, text, text, text) is 'Lists groups (`groups.list`). Errors as of nebula.call().';

create function nebula.add_group_member(id uuid, user_id uuid, idempotency_key text default null) returns jsonb
language sql
volatile
parallel unsafe
set search_path = pg_catalog, pg_temp
as $$
  select nebula.call('groups.members.add', jsonb_strip_nulls(jsonb_build_object('id', add_group_member.id, 'userId', add_group_member.user_id)), add_group_member.idempotency_key)
$$;
comment on function nebula.add_group_member(uuid, uuid, text) is 'Adds a member to a group (`groups.members.add`). Errors as of nebula.call().';

create function nebula.remove_group_member(id uuid, user_id uuid, idempotency_key text default null) returns jsonb
language sql
volatile
parallel unsafe
set search_path = pg_catalog, pg_temp
as $$
  select nebula.call('groups.members.remove', jsonb_strip_nulls(jsonb_build_object('id', remove_group_member.id, 'userId', remove_group_member.user_id)), remove_group_member.idempotency_key)
$$;
comment on function nebula.remove_group_member(uuid, uuid, text) is 'Removes a member from a group (`groups.members.remove`). Errors as of nebula.call().';

create function nebula.grant_group_permissions(id uuid, permissions jsonb, idempotency_key text default null) returns jsonb
language sql
volatile
parallel unsafe
set search_path = pg_catalog, pg_temp
as $$
  select nebula.call('groups.permissions.grant', jsonb_strip_nulls(jsonb_build_object('id', grant_group_permissions.id, 'permissions', grant_group_permissions.permissions)), grant_group_permissions.idempotency_key)
$$;
comment on function nebula.grant_group_permissions(uuid, jsonb, text) is 'Grants actions to a group: [{"action", "constraints"?}] (`groups.permissions.grant`). Errors as of nebula.call().';

create function nebula.revoke_group_permission(id uuid, permission_id uuid, idempotency_key text default null) returns jsonb
language sql
volatile
parallel unsafe
set search_path = pg_catalog, pg_temp
as $$
  select nebula.call('groups.permissions.revoke', jsonb_strip_nulls(jsonb_build_object('id', revoke_group_permission.id, 'permissionId', revoke_group_permission.permission_id)), revoke_group_permission.idempotency_key)
$$;
comment on function nebula.revoke_group_permission(uuid, uuid, text) is 'Revokes a permission (`groups.permissions.revoke`). Errors as of nebula.call().';

create function nebula.create_api_key(name text, profile text default null, actions text[] default null, expires_at timestamptz default null, idempotency_key text default null) returns jsonb
language sql
volatile
parallel unsafe
set search_path = pg_catalog, pg_temp
as $$
  select nebula.call('api_keys.create', jsonb_strip_nulls(jsonb_build_object('name', create_api_key.name, 'profile', create_api_key.profile, 'actions', create_api_key.actions, 'expiresAt', to_char(create_api_key.expires_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))), create_api_key.idempotency_key)
$$;
comment on function nebula.create_api_key(text, text, text[], timestamptz, text) is 'Creates an API key (`api_keys.create`). Errors as of nebula.call().';

create function nebula.set_api_key_status(id uuid, status text, suspended_reason text default null, idempotency_key text default null) returns jsonb
language sql
volatile
parallel unsafe
set search_path = pg_catalog, pg_temp
as $$
  select nebula.call('api_keys.status', jsonb_strip_nulls(jsonb_build_object('id', set_api_key_status.id, 'status', set_api_key_status.status, 'suspendedReason', set_api_key_status.suspended_reason)), set_api_key_status.idempotency_key)
$$;
comment on function nebula.set_api_key_status(uuid, text, text, text) is 'Suspends or reactivates a key (`api_keys.status`). Errors as of nebula.call().';

create function nebula.rotate_api_key(id uuid, grace_period_seconds integer default 0, idempotency_key text default null) returns jsonb
language sql
volatile
parallel unsafe
set search_path = pg_catalog, pg_temp
as $$
  select nebula.call('api_keys.rotate', jsonb_strip_nulls(jsonb_build_object('id', rotate_api_key.id, 'gracePeriodSeconds', rotate_api_key.grace_period_seconds)), rotate_api_key.idempotency_key)
$$;
comment on function nebula.rotate_api_key(uuid, integer, text) is 'Rotates a key''s secret (`api_keys.rotate`). Errors as of nebula.call().';

create function nebula.list_audit_logs(limit_ integer default 50, cursor text default null, actor uuid default null, action text default null, entity_type text default null, entity_id uuid default null) returns jsonb
language sql
volatile
parallel unsafe
set search_path = pg_catalog, pg_temp
as $$
  select nebula.call('audit.list', jsonb_strip_nulls(jsonb_build_object('limit', list_audit_logs.limit_, 'cursor', list_audit_logs.cursor, 'actor', list_audit_logs.actor, 'action', list_audit_logs.action, 'entityType', list_audit_logs.entity_type, 'entityId', list_audit_logs.entity_id)))
$$;
comment on function nebula.list_audit_logs(integer, text, uuid, text, text, uuid) is 'Lists the audit log (`audit.list`). Errors as of nebula.call().';

create function nebula.create_tenant(slug text, name text, package_key text, admin_email text, admin_name text, idempotency_key text default null) returns jsonb
language sql
volatile
parallel unsafe
set search_path = pg_catalog, pg_temp
as $$
  select nebula.call('tenants.create', jsonb_build_object('slug', slug, 'name', name, 'packageKey', package_key, 'adminUser', jsonb_build_object('email', admin_email, 'name', admin_name)), create_tenant.idempotency_key)
$$;
comment on function nebula.create_tenant(text, text, text, text, text, text) is 'Creates a tenant with package, administrator and invite (`tenants.create`). Errors as of nebula.call().';

create function nebula.set_tenant_status(tenant_id uuid, status text, suspended_reason text default null, idempotency_key text default null) returns jsonb
language sql
volatile
parallel unsafe
set search_path = pg_catalog, pg_temp
as $$
  select nebula.call('tenants.status', jsonb_strip_nulls(jsonb_build_object('tenantId', set_tenant_status.tenant_id, 'status', set_tenant_status.status, 'suspendedReason', set_tenant_status.suspended_reason)), set_tenant_status.idempotency_key)
$$;
comment on function nebula.set_tenant_status(uuid, text, text, text) is 'Suspends or reactivates a tenant (`tenants.status`). Errors as of nebula.call().';

create function nebula.assign_package(tenant_id uuid, package_key text, expires_at timestamptz default null, idempotency_key text default null) returns jsonb
language sql
volatile
parallel unsafe
set search_path = pg_catalog, pg_temp
as $$
  select nebula.call('tenants.packages.assign', jsonb_strip_nulls(jsonb_build_object('tenantId', assign_package.tenant_id, 'packageKey', assign_package.package_key, 'expiresAt', to_char(assign_package.expires_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))), assign_package.idempotency_key)
$$;
comment on function nebula.assign_package(uuid, text, timestamptz, text) is 'Assigns a package to a tenant (`tenants.packages.assign`). Errors as of nebula.call().';
-- Who may call what. Functions are executable by PUBLIC by default, and Supabase's default privileges add more: everything is taken away first,
-- then granted exactly. Definer functions belong to roles that RLS binds: one that stayed a superuser's would skip it.

do $$
declare
  routine record;
  grantee text;
begin
  for routine in
    select p.oid::regprocedure as signature
    from pg_catalog.pg_proc p
    where p.pronamespace = 'nebula'::regnamespace
  loop
    execute pg_catalog.format('revoke all on function %s from public', routine.signature);
    foreach grantee in array array['anon', 'authenticated', 'service_role', 'supabase_auth_admin'] loop
      if exists (select from pg_catalog.pg_roles where rolname = grantee) then
        execute pg_catalog.format('revoke all on function %s from %I', routine.signature, grantee);
      end if;
    end loop;
    execute pg_catalog.format('grant execute on function %s to nebula_owner, nebula_platform', routine.signature);
  end loop;
end
$$;

alter function nebula.handle(uuid, json) owner to nebula_owner;
alter function nebula.edge_state() owner to nebula_owner;
alter function nebula.readiness() owner to nebula_owner;
alter function nebula.dispatch(text, json, text) owner to nebula_owner;
alter function nebula.migrate() owner to nebula_owner;
alter function nebula.ensure_partitions(integer) owner to nebula_owner;
alter function nebula.register_signing_key(text, bytea) owner to nebula_owner;
alter function nebula.retire_signing_key(text) owner to nebula_owner;
alter function nebula.revoke_signing_key(text) owner to nebula_owner;
alter function nebula.register_issuer(json) owner to nebula_owner;
alter function nebula.replace_issuer_keys(text, json) owner to nebula_owner;
alter function nebula.set_issuer_secret(text, text) owner to nebula_owner;
alter function nebula.remove_issuer(text) owner to nebula_owner;
alter function nebula.issuer_state() owner to nebula_owner;
alter function nebula.audit_change() owner to nebula_platform;
alter function nebula.login_challenge(text, text, text) owner to nebula_platform;
alter function nebula.password_challenge(uuid, text, text) owner to nebula_owner;
alter function nebula.flush() owner to nebula_platform;
alter function nebula.reset_token(uuid, uuid) owner to nebula_platform;
alter function nebula.emit_event(text, json, text, uuid, text) owner to nebula_platform;
alter function nebula.claim(text, integer, interval, integer, uuid[], boolean) owner to nebula_platform;
alter function nebula.complete(text, uuid[], integer[]) owner to nebula_platform;
alter function nebula.fail(text, uuid, integer, text, interval, boolean) owner to nebula_platform;
alter function nebula.extend(text, uuid[], integer[], interval) owner to nebula_platform;
alter function nebula.requeue(uuid) owner to nebula_platform;
alter function nebula.fan_out(text, uuid[], integer[]) owner to nebula_platform;
alter function nebula.relay(text, integer) owner to nebula_platform;
alter function nebula.wait_for_work(integer) owner to nebula_platform;
alter function nebula.may_deliver() owner to nebula_platform;
alter function nebula.delivery_place_here() owner to nebula_platform;
alter function nebula.adopt_here() owner to nebula_platform;
alter function nebula.start_task(text, text, interval, interval) owner to nebula_platform;
alter function nebula.finish_task(text, text, text) owner to nebula_platform;
alter function nebula.seed() owner to nebula_platform;
alter function nebula.seed_tenant(uuid) owner to nebula_platform;
alter function nebula.issue_operator_key(text) owner to nebula_platform;
alter function nebula.bind_role(text, uuid, text) owner to nebula_platform;

alter function nebula.start_export(text, uuid, integer) owner to nebula_owner;
alter function nebula.export_tables(text, uuid, integer) owner to nebula_owner;
alter function nebula.export_rows(text, uuid, integer, text, text, integer) owner to nebula_owner;
alter function nebula.finish_export(text, uuid, integer, json) owner to nebula_owner;
alter function nebula.expire_exports() owner to nebula_platform;
alter function nebula.open_export(text) owner to nebula_owner;
alter function nebula.begin_import(json) owner to nebula_owner;
alter function nebula.import_rows(text, json, json) owner to nebula_owner;
-- Sealing keys, credentials, privacy.
alter function nebula.register_sealing_key(integer, bytea) owner to nebula_owner;
alter function nebula.sealing_keys() owner to nebula_owner;
alter function nebula.sealed_row_counts() owner to nebula_platform;
alter function nebula.sealed_rows(text, integer, uuid, uuid, integer) owner to nebula_platform;
alter function nebula.reseal(text, uuid, uuid, integer, bytea, integer, bytea) owner to nebula_owner;
alter function nebula.reveal_credential(uuid, uuid, text, text, text, text) owner to nebula_owner;
alter function nebula.anonymize_again(uuid, uuid) owner to nebula_owner;

-- The edge: these and nothing else.
grant execute on function nebula.handle(uuid, json), nebula.login_challenge(text, text, text), nebula.password_challenge(uuid, text, text), nebula.flush(),
  nebula.edge_state(), nebula.openapi(), nebula.readiness() to nebula_edge;

-- The worker: its queue.
grant execute on function nebula.claim(text, integer, interval, integer, uuid[], boolean), nebula.complete(text, uuid[], integer[]),
  nebula.fail(text, uuid, integer, text, interval, boolean), nebula.extend(text, uuid[], integer[], interval), nebula.fan_out(text, uuid[], integer[]),
  nebula.relay(text, integer), nebula.wait_for_work(integer), nebula.may_deliver(), nebula.start_task(text, text, interval, interval), nebula.finish_task(text, text, text) to nebula_worker;

-- The worker: webhooks.
alter function nebula.webhook_requests(text, uuid[], integer[]) owner to nebula_platform;
alter function nebula.record_deliveries(text, json) owner to nebula_platform;
grant execute on function nebula.webhook_requests(text, uuid[], integer[]), nebula.record_deliveries(text, json) to nebula_worker;

-- The worker delivers what was asked for.
grant execute on function nebula.reset_token(uuid, uuid) to nebula_worker;

-- The worker: exports.
grant execute on function nebula.start_export(text, uuid, integer), nebula.export_tables(text, uuid, integer),
  nebula.export_rows(text, uuid, integer, text, text, integer), nebula.finish_export(text, uuid, integer, json), nebula.expire_exports() to nebula_worker;
-- The worker: retention. What changes tables belongs to their owner, who is bound by RLS and reads no tenant's rows; what reads all tenants' rows owns no table.
alter function nebula.copy_partition(text, text, text) owner to nebula_owner;
alter function nebula.exchange_partition(text, text, text[]) owner to nebula_owner;
alter function nebula.retention_plan() owner to nebula_platform;
alter function nebula.archive_columns(text) owner to nebula_platform;
alter function nebula.archive_page(uuid, text, text, text, integer) owner to nebula_platform;
alter function nebula.record_archive(uuid, text, text, bigint, bytea) owner to nebula_platform;
alter function nebula.drop_partition(text, text, uuid[]) owner to nebula_platform;
alter function nebula.settle_default(text) owner to nebula_platform;
alter function nebula.expired_archives() owner to nebula_platform;
alter function nebula.forget_archive(uuid, uuid) owner to nebula_platform;
alter function nebula.purge(integer) owner to nebula_platform;
grant execute on function nebula.ensure_partitions(integer), nebula.retention_plan(), nebula.archive_columns(text),
  nebula.archive_page(uuid, text, text, text, integer), nebula.record_archive(uuid, text, text, bigint, bytea), nebula.drop_partition(text, text, uuid[]),
  nebula.settle_default(text), nebula.expired_archives(), nebula.forget_archive(uuid, uuid), nebula.purge(integer) to nebula_worker;
-- The worker: sealed secrets. It reads them sealed, puts back what it sealed anew, and reveals credentials; each is audited.
grant execute on function nebula.sealing_keys(), nebula.sealed_rows(text, integer, uuid, uuid, integer),
  nebula.reseal(text, uuid, uuid, integer, bytea, integer, bytea), nebula.reveal_credential(uuid, uuid, text, text, text, text) to nebula_worker;

-- Who keeps other issuers' keys fresh: no more than that. The edge's own login can't, so that a thief of it makes no token count.
grant execute on function nebula.issuer_state(), nebula.replace_issuer_keys(text, json) to nebula_keys;

-- SQL callers: nebula_app, and Supabase's role for logged-in people where it exists.
do $$
declare
  grantee text;
  routine record;
begin
  foreach grantee in array array['nebula_app', 'authenticated'] loop
    continue when not exists (select from pg_catalog.pg_roles where rolname = grantee);
    execute pg_catalog.format('grant usage on schema nebula to %I', grantee);
    execute pg_catalog.format(
      'grant execute on function nebula.version(), nebula.current_tenant(), nebula.current_actor(), nebula.can(text), nebula.why(text), nebula.routes(), nebula.openapi(), '
      'nebula.dispatch(text, json, text) to %I', grantee);
    for routine in
      select p.oid::regprocedure as signature
      from pg_catalog.pg_proc p
      join pg_catalog.pg_language l on l.oid = p.prolang
      where p.pronamespace = 'nebula'::regnamespace
        and (p.proname = 'call' or (l.lanname = 'sql' and p.prosrc like '%nebula.call(%'))
    loop
      execute pg_catalog.format('grant execute on function %s to %I', routine.signature, grantee);
    end loop;
  end loop;
  -- The DBA who installs, where that is no superuser (Supabase's postgres).
  if not (select rolsuper from pg_catalog.pg_roles where rolname = session_user) then
    execute pg_catalog.format('grant usage on schema nebula to %I', session_user);
    execute pg_catalog.format(
      'grant execute on function nebula.migrate(), nebula.seed(), nebula.seed_tenant(uuid), nebula.issue_operator_key(text), '
      'nebula.register_signing_key(text, bytea), nebula.retire_signing_key(text), nebula.revoke_signing_key(text), '
      'nebula.register_issuer(json), nebula.replace_issuer_keys(text, json), nebula.set_issuer_secret(text, text), nebula.remove_issuer(text), '
      'nebula.issuer_state(), '
      'nebula.open_export(text), nebula.export_tables(text, uuid, integer), nebula.export_rows(text, uuid, integer, text, text, integer), '
      'nebula.begin_import(json), nebula.import_rows(text, json, json), '
      'nebula.register_sealing_key(integer, bytea), nebula.sealing_keys(), nebula.sealed_row_counts(), nebula.anonymize_again(uuid, uuid), '
      'nebula.bind_role(text, uuid, text), nebula.ensure_partitions(integer), nebula.version(), nebula.routes(), nebula.openapi(), nebula.readiness(), '
      'nebula.edge_state(), nebula.emit(text, jsonb, text, uuid, timestamptz), nebula.emit_event(text, json, text, uuid, text), nebula.requeue(uuid), '
      'nebula.delivery_place_here(), nebula.may_deliver(), nebula.adopt_here() to %I', session_user);
  end if;
end
$$;
