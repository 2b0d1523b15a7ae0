-- Usage is summed over backends before it is written: with thousands of tenants each backend alone has nearly as many counters as calls.

-- Unlogged, as what backends have in memory: a crash loses the last few seconds of either.
create unlogged table nebula.gathered_usage (
  id uuid not null default nebula.uuid_v7(),
  gathered_at timestamptz not null default now(),
  tenants uuid[] not null,
  actions text[] not null,
  hours bigint[] not null,
  counts bigint[] not null,
  key_tenants uuid[] not null,
  keys uuid[] not null,
  keys_used bigint[] not null,
  constraint pk_gathered_usage primary key (id)
);
comment on table nebula.gathered_usage is 'What backends have counted and nobody has written into usage_metrics and api_key yet: a row each time that a backend hands over.';
comment on column nebula.gathered_usage.gathered_at is 'When it was handed over.';
comment on column nebula.gathered_usage.tenants is 'A counter each, by tenant, action and hour: its tenant.';
comment on column nebula.gathered_usage.actions is 'Its action''s key.';
comment on column nebula.gathered_usage.hours is 'Its hour''s start, in seconds since the epoch.';
comment on column nebula.gathered_usage.counts is 'Its successful calls.';
comment on column nebula.gathered_usage.key_tenants is 'An API key each that was presented: its tenant.';
comment on column nebula.gathered_usage.keys is 'The API key.';
comment on column nebula.gathered_usage.keys_used is 'Its last use, in microseconds since the epoch.';
select nebula.govern_table('nebula.gathered_usage', audited => false);
