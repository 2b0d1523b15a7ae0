-- How much somebody may do in a time.

-- Unlogged: a crash empties it, and a minute later nobody would know the difference. Used for what does not fit into shared memory.
create unlogged table nebula.rate_limit (
  key bytea not null,
  newest bigint not null,
  counts bytea not null,
  constraint pk_rate_limit primary key (key),
  constraint ck_rate_limit_key check (octet_length(key) = 16),
  constraint ck_rate_limit_counts check (octet_length(counts) = 52)
);
comment on table nebula.rate_limit is 'Requests of the last minute, by what is limited, where the shared memory is full.';
comment on column nebula.rate_limit.key is 'A digest of the tenant and category, of the tenant''s action, or of an account or address that logs in.';
comment on column nebula.rate_limit.newest is 'The newest slot of five seconds that was counted in, since the epoch.';
comment on column nebula.rate_limit.counts is 'Requests by slot modulo 13, four bytes each.';
create index idx_rate_limit_newest on nebula.rate_limit (newest);
select nebula.govern_table('nebula.rate_limit', audited => false);

create unlogged table nebula.login_failure (
  key bytea not null,
  failures integer not null default 0,
  last_failed_at timestamptz not null default now(),
  blocked_until timestamptz,
  constraint pk_login_failure primary key (key),
  constraint ck_login_failure_key check (octet_length(key) = 16)
);
comment on table nebula.login_failure is 'Wrong passwords of an account or from an address; they slow the next attempt down.';
comment on column nebula.login_failure.key is 'A keyed digest of the account or the address, whether or not there is such an account.';
comment on column nebula.login_failure.failures is 'Since the last right password, or since an hour without one.';
comment on column nebula.login_failure.blocked_until is 'Until then no password is looked at.';
create index idx_login_failure_last_failed_at on nebula.login_failure (last_failed_at);
select nebula.govern_table('nebula.login_failure', audited => false);

create table nebula.quota_usage (
  id uuid not null default nebula.uuid_v7(),
  tenant_id uuid not null,
  tool_action_id uuid not null,
  month date not null,
  count bigint not null default 1,
  constraint pk_quota_usage primary key (tenant_id, id),
  constraint uq_quota_usage_tenant_id_tool_action_id_month unique (tenant_id, tool_action_id, month),
  constraint fk_quota_usage_tenant_id foreign key (tenant_id) references nebula.tenant (id),
  constraint fk_quota_usage_tool_action_id foreign key (tool_action_id) references nebula.tool_action (id),
  constraint ck_quota_usage_count check (count >= 0)
);
comment on table nebula.quota_usage is 'Successful calls of an action with perMonth, per tenant and UTC month.';
comment on column nebula.quota_usage.month is 'Its first day.';
select nebula.govern_tenant_table('nebula.quota_usage', audited => false);
