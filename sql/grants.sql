-- Who may call what. Functions are executable by PUBLIC by default, and Supabase's default privileges add more: everything is taken away first,
-- then granted exactly. Definer functions belong to roles that RLS binds: one that stayed a superuser's would skip it.
-- At an update too: a grant that a version no longer makes is gone, one that a DBA made to a role of their own stays.

do $$
declare
  routine record;
  grantee text;
  granted record;
begin
  for routine in
    select p.oid, p.oid::regprocedure as signature
    from pg_catalog.pg_proc p
    join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e'
    where p.pronamespace = 'nebula'::regnamespace
  loop
    execute pg_catalog.format('revoke all on function %s from public', routine.signature);
    foreach grantee in array array['anon', 'authenticated', 'service_role', 'supabase_auth_admin',
      'nebula_owner', 'nebula_platform', 'nebula_edge', 'nebula_keys', 'nebula_worker', 'nebula_app'] loop
      if exists (select from pg_catalog.pg_roles where rolname = grantee) then
        execute pg_catalog.format('revoke all on function %s from %I', routine.signature, grantee);
      end if;
    end loop;
    -- At install, also whomever the default privileges of this database name. An update leaves alone what a DBA has granted since.
    for granted in
      select distinct r.rolname as name
      from pg_catalog.pg_proc p
      cross join lateral pg_catalog.aclexplode(p.proacl) acl
      join pg_catalog.pg_roles r on r.oid = acl.grantee
      where p.oid = routine.oid and acl.grantee <> p.proowner and current_setting('nebula_script.is_install', true) = 'on'
    loop
      execute pg_catalog.format('revoke all on function %s from %I cascade', routine.signature, granted.name);
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
alter function nebula.migrate_next() owner to nebula_owner;
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
alter function nebula.hand_over_usage() owner to nebula_platform;
alter function nebula.reset_token(uuid, uuid) owner to nebula_platform;
alter function nebula.emit_event(text, json, text, uuid, text) owner to nebula_platform;
alter function nebula.emit(text, jsonb, text, uuid, timestamptz) owner to nebula_platform;
alter function nebula.emit_each(text, jsonb, uuid) owner to nebula_platform;
alter function nebula.claim(text, integer, interval, integer, uuid[], boolean) owner to nebula_platform;
alter function nebula.complete(text, uuid[], integer[]) owner to nebula_platform;
alter function nebula.fail(text, uuid, integer, text, interval, boolean) owner to nebula_platform;
alter function nebula.extend(text, uuid[], integer[], interval) owner to nebula_platform;
alter function nebula.requeue(uuid) owner to nebula_platform;
alter function nebula.fan_out(text, uuid[], integer[]) owner to nebula_platform;
alter function nebula.relay(text, integer) owner to nebula_platform;
alter function nebula.wait_for_work(integer) owner to nebula_platform;
alter function nebula.await_work(integer) owner to nebula_platform;
alter function nebula.may_deliver() owner to nebula_platform;
alter function nebula.delivery_place_here() owner to nebula_platform;
alter function nebula.adopt_here() owner to nebula_platform;
alter function nebula.adopt_place(text) owner to nebula_platform;
alter function nebula.start_task(text, text, interval, interval) owner to nebula_platform;
alter function nebula.finish_task(text, text, text) owner to nebula_platform;
alter function nebula.seed() owner to nebula_platform;
alter function nebula.seed_tenant(uuid) owner to nebula_platform;
alter function nebula.issue_operator_key(text) owner to nebula_platform;
alter function nebula.bind_role(text, uuid, text) owner to nebula_platform;
alter function nebula.unbind_role(text) owner to nebula_platform;
alter function nebula.set_postgrest_trust(text) owner to nebula_platform;
alter function nebula.access_token_claims(json) owner to nebula_platform;
alter function nebula.custom_access_token_hook(jsonb) owner to nebula_platform;

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
-- The audit log's seals.
alter function nebula.register_audit_key(integer, bytea) owner to nebula_owner;
alter function nebula.audit_keys() owner to nebula_owner;
alter function nebula.begin_audit_round() owner to nebula_platform;
alter function nebula.audit_tenants() owner to nebula_platform;
alter function nebula.audit_rows(uuid, bigint, uuid, integer) owner to nebula_platform;
alter function nebula.audit_segments(uuid) owner to nebula_platform;
alter function nebula.seal_audit(uuid, integer, text, text, integer, bytea, integer, bigint, uuid[], bigint[], bytea, bytea, bytea, bytea, bytea, bytea, integer, bigint) owner to nebula_platform;
alter function nebula.blank_audit_origins(uuid, date, integer) owner to nebula_platform;
alter function nebula.finish_audit_round(bigint, integer, bytea, bigint) owner to nebula_platform;
alter function nebula.unsealed_audit_drops() owner to nebula_platform;
alter function nebula.seal_audit_drop(uuid, integer, integer, bytea) owner to nebula_platform;
alter function nebula.unsealed_audit_erasures(integer) owner to nebula_platform;
alter function nebula.seal_audit_erasures(uuid, uuid[], integer, bytea) owner to nebula_platform;
alter function nebula.audit_heads(uuid, integer) owner to nebula_platform;
alter function nebula.lost_audit_heads(json) owner to nebula_platform;
-- Protected tables: what their triggers write is the product's.
alter function nebula.emit_change() owner to nebula_platform;

-- The doctor reads the installation's rows as the platform or the owner, and everything else as who asks.
alter function nebula.doctor_as_platform(text) owner to nebula_platform;
alter function nebula.doctor_as_owner(text) owner to nebula_owner;

-- The edge: these and nothing else.
grant execute on function nebula.handle(uuid, json), nebula.login_challenge(text, text, text), nebula.password_challenge(uuid, text, text), nebula.flush(), nebula.hand_over_usage(),
  nebula.edge_state(), nebula.openapi(), nebula.readiness() to nebula_edge;

-- The worker: its queue.
grant execute on function nebula.claim(text, integer, interval, integer, uuid[], boolean), nebula.complete(text, uuid[], integer[]),
  nebula.fail(text, uuid, integer, text, interval, boolean), nebula.extend(text, uuid[], integer[], interval), nebula.fan_out(text, uuid[], integer[]),
  nebula.relay(text, integer), nebula.wait_for_work(integer), nebula.await_work(integer), nebula.may_deliver(), nebula.start_task(text, text, interval, interval), nebula.finish_task(text, text, text) to nebula_worker;

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
-- The worker: sealing the audit log. It reads rows that are not sealed yet, and adds to the seals; it changes none.
grant execute on function nebula.audit_keys(), nebula.begin_audit_round(), nebula.audit_tenants(), nebula.audit_rows(uuid, bigint, uuid, integer), nebula.audit_segments(uuid),
  nebula.seal_audit(uuid, integer, text, text, integer, bytea, integer, bigint, uuid[], bigint[], bytea, bytea, bytea, bytea, bytea, bytea, integer, bigint),
  nebula.finish_audit_round(bigint, integer, bytea, bigint), nebula.unsealed_audit_drops(), nebula.seal_audit_drop(uuid, integer, integer, bytea),
  nebula.unsealed_audit_erasures(integer), nebula.seal_audit_erasures(uuid, uuid[], integer, bytea), nebula.audit_heads(uuid, integer), nebula.lost_audit_heads(json) to nebula_worker;

-- Who watches: the worker, which shows these figures beside its own, and monitoring logins as Postgres knows them. Not the edge: a thief of its login learns nothing.
alter function nebula.metrics_as_platform() owner to nebula_platform;
grant usage on schema nebula to pg_monitor;
grant execute on function nebula.metrics(), nebula.metrics_as_platform(), nebula.metrics_of_statements() to nebula_worker, pg_monitor;

-- Who keeps other issuers' keys fresh: no more than that. The edge's own login can't, so that a thief of it makes no token count.
grant execute on function nebula.issuer_state(), nebula.replace_issuer_keys(text, json) to nebula_keys;

-- SQL callers: nebula_app, and Supabase's role for logged-in people where it exists.
do $$
declare
  grantee text;
  installer text;
  routine record;
begin
  -- PostgREST calls its pre-request as whatever role the token names. And what policies and column defaults ask: without a caller the answer is nobody's, where
  -- an error would be taken for a defect.
  foreach grantee in array array['nebula_app', 'authenticated', 'anon', 'service_role'] loop
    continue when not exists (select from pg_catalog.pg_roles where rolname = grantee);
    execute pg_catalog.format('grant usage on schema nebula to %I', grantee);
    execute pg_catalog.format(
      'grant execute on function nebula.current_tenant(), nebula.tenant_for(text), nebula.current_actor(), nebula.can(text), nebula.pre_request(), nebula.caller_refusal() to %I',
      grantee);
  end loop;
  -- Supabase Auth.
  if exists (select from pg_catalog.pg_roles where rolname = 'supabase_auth_admin') then
    grant usage on schema nebula to supabase_auth_admin;
    grant execute on function nebula.custom_access_token_hook(jsonb) to supabase_auth_admin;
  end if;
  foreach grantee in array array['nebula_app', 'authenticated'] loop
    continue when not exists (select from pg_catalog.pg_roles where rolname = grantee);
    execute pg_catalog.format(
      'grant execute on function nebula.version(), nebula.why(text), nebula.routes(), nebula.openapi(), nebula.dispatch(text, json, text) to %I', grantee);
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
  -- The DBA who installed, where that is no superuser (Supabase's postgres), whoever updates. Where a superuser did it in somebody's name (supautils), them.
  select r.rolname into installer
  from pg_catalog.pg_extension e
  join pg_catalog.pg_roles owner on owner.oid = e.extowner
  join pg_catalog.pg_roles r on r.oid = case when owner.rolsuper then pg_catalog.quote_ident(session_user)::regrole::oid else owner.oid end
  where e.extname = 'nebula' and not r.rolsuper;
  if found then
    execute pg_catalog.format('grant usage on schema nebula to %I', installer);
    execute pg_catalog.format(
      'grant execute on function nebula.migrate(), nebula.migrate_next(), nebula.seed(), nebula.seed_tenant(uuid), nebula.issue_operator_key(text), '
      'nebula.register_signing_key(text, bytea), nebula.retire_signing_key(text), nebula.revoke_signing_key(text), '
      'nebula.register_issuer(json), nebula.replace_issuer_keys(text, json), nebula.set_issuer_secret(text, text), nebula.remove_issuer(text), '
      'nebula.issuer_state(), '
      'nebula.open_export(text), nebula.export_tables(text, uuid, integer), nebula.export_rows(text, uuid, integer, text, text, integer), '
      'nebula.begin_import(json), nebula.import_rows(text, json, json), '
      'nebula.register_sealing_key(integer, bytea), nebula.sealing_keys(), nebula.sealed_row_counts(), nebula.anonymize_again(uuid, uuid), '
      'nebula.register_audit_key(integer, bytea), nebula.audit_keys(), nebula.begin_audit_round(), nebula.audit_tenants(), nebula.audit_rows(uuid, bigint, uuid, integer), '
      'nebula.audit_heads(uuid, integer), nebula.lost_audit_heads(json), '
      'nebula.bind_role(text, uuid, text), nebula.ensure_partitions(integer), nebula.version(), nebula.routes(), nebula.openapi(), nebula.readiness(), '
      'nebula.edge_state(), nebula.emit(text, jsonb, text, uuid, timestamptz), nebula.emit_each(text, jsonb, uuid), nebula.emit_event(text, json, text, uuid, text), nebula.requeue(uuid), '
      'nebula.delivery_place_here(), nebula.may_deliver(), nebula.adopt_here(), nebula.adopt_place(text), nebula.unbind_role(text), nebula.set_postgrest_trust(text), '
      'nebula.protect(regclass, uuid, text, name, text, jsonb, text, text, name[], boolean, boolean, boolean, boolean, name[], boolean), '
      'nebula.protection_steps(text, json, boolean), nebula.begin_protection(text, json), nebula.finish_protection(text), '
      'nebula.unprotect(regclass, boolean, boolean), nebula.unprotection_steps(text, boolean, boolean), nebula.end_protection(text), '
      'nebula.doctor(text[], text[], interval), nebula.doctor_rules(), nebula.doctor_schemas(text[]), nebula.doctor_tables(text[]), nebula.doctor_policies(text[]), nebula.doctor_functions(text[]), '
      'nebula.doctor_as_platform(text), nebula.doctor_as_owner(text), nebula.metrics(), nebula.metrics_as_platform(), nebula.metrics_of_statements(), '
      'nebula.prove_isolation(text[], boolean, interval), nebula.run_prover(json), nebula.take_proof(), nebula.prover_attempt(text, text, text, text), '
      'nebula.prover_attempts(json), nebula.prover_table_attempts(oid, name, json, json, jsonb, text, text), nebula.prover_readers(text[], boolean, json), '
      'nebula.prover_roles(json), nebula.prover_may_become(oid), nebula.prover_reaches(name, text, oid), nebula.canary_row(oid, name, json, integer), '
      'nebula.current_tenant(), nebula.tenant_for(text), nebula.audit_change(), nebula.emit_change(), nebula.touch_updated_at(), '
      'nebula.expose(regprocedure, text, text, text, text, text, text, integer, text, text, integer, integer, integer, text, timestamptz, timestamptz), '
      'nebula.unexpose(text, text, text) to %I', installer);
  end if;
end
$$;
