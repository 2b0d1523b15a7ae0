-- Events, written in the transaction that caused them.

create table nebula.outbox (
  id uuid not null default nebula.uuid_v7(),
  tenant_id uuid,
  type text not null,
  payload jsonb not null,
  status text not null default 'pending',
  attempts integer not null default 0,
  available_at timestamptz not null default now(),
  locked_until timestamptz,
  last_error text,
  created_at timestamptz not null default now(),
  constraint pk_outbox primary key (id),
  constraint ck_outbox_status check (status in ('pending', 'running', 'done', 'dead')),
  constraint ck_outbox_attempts check (attempts >= 0)
);
comment on table nebula.outbox is 'Events that wait for a worker. Delivered at least once; id is for consumers to deduplicate.';
comment on column nebula.outbox.tenant_id is 'Whose event; null for the installation''s own.';
comment on column nebula.outbox.type is 'The event''s name, such as user.created.';
comment on column nebula.outbox.payload is '{"version", "data"}.';
comment on column nebula.outbox.locked_until is 'The end of a worker''s lease.';
comment on column nebula.outbox.last_error is 'Why the last attempt failed.';
comment on column nebula.outbox.status is 'pending, running (leased until locked_until), done, dead (a person must retry it).';
create index idx_outbox_tenant_id on nebula.outbox (tenant_id, available_at) where status in ('pending', 'running');
create index idx_outbox_created_at on nebula.outbox (tenant_id, created_at, id);
select nebula.govern_tenant_table('nebula.outbox', audited => false);
