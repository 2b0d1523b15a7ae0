-- What was used: gathered in the backends' memory, added up here.

create table nebula.usage_metrics (
  id uuid not null default nebula.uuid_v7(),
  tenant_id uuid not null,
  tool_action_id uuid not null,
  period_start timestamptz not null,
  period_end timestamptz not null,
  count bigint not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  -- period_start is the partition's; the key is the index (tenant_id, period_start) at the same time.
  constraint pk_usage_metrics primary key (tenant_id, period_start, tool_action_id),
  constraint fk_usage_metrics_tenant_id foreign key (tenant_id) references nebula.tenant (id),
  constraint fk_usage_metrics_tool_action_id foreign key (tool_action_id) references nebula.tool_action (id),
  constraint ck_usage_metrics_period check (period_end = period_start + interval '1 hour'),
  constraint ck_usage_metrics_count check (count > 0)
) partition by range (period_start);
comment on table nebula.usage_metrics is 'Successful calls per tenant, action and hour.';
comment on column nebula.usage_metrics.period_start is 'The hour''s start, UTC.';
comment on column nebula.usage_metrics.period_end is 'The hour''s end, which belongs to the next.';
comment on column nebula.usage_metrics.count is 'Up to a flush interval late.';
create index idx_usage_metrics_tool_action_id on nebula.usage_metrics (tenant_id, tool_action_id);
select nebula.govern_tenant_table('nebula.usage_metrics', audited => false);

create table nebula.usage_metrics_default partition of nebula.usage_metrics default;
comment on table nebula.usage_metrics_default is 'Hours of months that no partition was made for: nothing is refused, doctor tells.';
select nebula.govern_partition('nebula.usage_metrics_default');
