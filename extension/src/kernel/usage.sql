with taken as (
  delete from nebula.gathered_usage returning *
),
written as (
  insert into nebula.usage_metrics as usage (tenant_id, tool_action_id, period_start, period_end, count)
  select t.id, a.id, to_timestamp(c.hour), to_timestamp(c.hour + 3600), c.count
  from (
    select u.tenant_id, u.action, u.hour, sum(u.count)::bigint as count
    from taken cross join lateral unnest(taken.tenants, taken.actions, taken.hours, taken.counts) u (tenant_id, action, hour, count)
    group by u.tenant_id, u.action, u.hour
  ) c
  join nebula.tenant t on t.id = c.tenant_id
  join nebula.tool_action a on a.key = c.action
  order by t.id, c.hour, a.id
  on conflict (tenant_id, period_start, tool_action_id) do update set count = usage.count + excluded.count
),
-- A key that somebody is changing is left out: nobody waits for another's transaction, and its next use is written another time.
touched as (
  update nebula.api_key k
  set last_used_at = u.at
  from (
    select free.tenant_id, free.id, used.at
    from (
      select k.tenant_id, k.id, to_timestamp(max(k.at)::numeric / 1000000) as at
      from taken cross join lateral unnest(taken.key_tenants, taken.keys, taken.keys_used) k (tenant_id, id, at)
      group by k.tenant_id, k.id
    ) used
    join nebula.api_key free on free.tenant_id = used.tenant_id and free.id = used.id
    for no key update of free skip locked
  ) u
  where k.tenant_id = u.tenant_id and k.id = u.id and (k.last_used_at is null or k.last_used_at < u.at)
)
select exists (select from taken)
