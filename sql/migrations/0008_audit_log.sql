-- What happened. Rows are never changed, but for who came from where when that person is anonymised; retention drops whole partitions.

create table nebula.audit_log (
  id uuid not null default nebula.uuid_v7(),
  tenant_id uuid not null,
  actor_user_id uuid,
  actor_api_key_id uuid,
  actor_type text not null,
  action text not null,
  entity_type text not null,
  entity_id uuid,
  metadata jsonb not null default '{}',
  ip inet,
  user_agent text,
  created_at timestamptz not null default now(),
  -- created_at is in the key because it is the partition's; it is the index (tenant_id, created_at) at the same time.
  constraint pk_audit_log primary key (tenant_id, created_at, id),
  constraint ck_audit_log_actor_type check (actor_type in ('user', 'service', 'system'))
) partition by range (created_at);
comment on table nebula.audit_log is 'Who did what to which row, when, by which request. No foreign keys: history outlives what it tells of.';
comment on column nebula.audit_log.actor_user_id is 'The person; null for services and the system.';
comment on column nebula.audit_log.actor_api_key_id is 'The service account''s key.';
comment on column nebula.audit_log.actor_type is 'user, service, or system: SQL without a caller, such as a DBA''s.';
comment on column nebula.audit_log.action is 'The operation''s action key, or table.verb where no operation ran.';
comment on column nebula.audit_log.entity_type is 'The table of the changed row, or operation for a refusal.';
comment on column nebula.audit_log.entity_id is 'The changed row''s id.';
comment on column nebula.audit_log.metadata is 'requestId; changed: names of changed columns, never their values; actorTenantId where it differs; outcome of refusals.';
comment on column nebula.audit_log.ip is 'Personal: null once the person is anonymised.';
comment on column nebula.audit_log.user_agent is 'Personal: null once the person is anonymised.';
select nebula.govern_tenant_table('nebula.audit_log', audited => false);

-- Not even the owner, as whom the functions run.
revoke update, delete, truncate on nebula.audit_log from nebula_owner, nebula_platform;
-- But for what anonymising a person takes away (docs/decisions/0015-erasure-in-the-audit-log.md).
grant update (ip, user_agent) on nebula.audit_log to nebula_platform;
create trigger refuse_update before update on nebula.audit_log for each row execute function nebula.refuse_change_but_erasure();
create trigger refuse_change before delete on nebula.audit_log for each row execute function nebula.refuse_change();
create trigger refuse_truncate before truncate on nebula.audit_log for each statement execute function nebula.refuse_change();
alter table nebula.audit_log enable always trigger refuse_update;
alter table nebula.audit_log enable always trigger refuse_change;
alter table nebula.audit_log enable always trigger refuse_truncate;

create table nebula.audit_log_default partition of nebula.audit_log default;
comment on table nebula.audit_log_default is 'Rows of months that no partition was made for: nothing is refused, doctor tells.';
select nebula.govern_partition('nebula.audit_log_default');
