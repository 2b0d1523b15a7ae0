-- What may become of each tenant's rows in a month's partition. {partition} is its name, {kept} how long the profile p keeps rows.
-- $1 the table; $2 the month's first day; $3 one tenant, or null for all; $4 whether the table is archived; $5 whether archives
-- are compared with the rows: else all are to be made.
with recursive month (first_day, ended_at) as (
  select $2::text::date, ($2::text::date + interval '1 month')::timestamptz
),
-- Leaps from tenant to tenant over the key, instead of reading every row.
present (tenant_id) as (
  (
    select r.tenant_id
    from nebula.{partition} r
    where $3::uuid is null and r.tenant_id is not null
    order by r.tenant_id
    limit 1
  )
  union all
  select (
    select r.tenant_id
    from nebula.{partition} r
    where r.tenant_id > present.tenant_id
    order by r.tenant_id
    limit 1
  )
  from present
  where present.tenant_id is not null
),
everybody (tenant_id) as (
  select tenant_id
  from present
  where tenant_id is not null
  union all
  -- Rows of the installation's own.
  select null
  where $3::uuid is null and exists (
    select
    from nebula.{partition} r
    where r.tenant_id is null
  )
  union all
  select $3
  where exists (
    select
    from nebula.{partition} r
    where r.tenant_id = $3
  )
)
select
  e.tenant_id,
  case
    when month.ended_at + {kept} > now() then 'keep'
    when not $4 or t.id is null or p.archive_months is null or month.ended_at + make_interval(months => p.archive_months) <= now() then 'drop'
    -- Rows that came after the month was dropped: the archive is not written again, and they stay until it would have expired.
    when a.dropped_at is not null then 'keep'
    -- Counting reads all of the tenant's rows: not for each page of an archive.
    when a.id is null or not $5 then 'archive'
    when a.row_count = (
      select count(*)
      from nebula.{partition} r
      where r.tenant_id = e.tenant_id
    ) then 'archived'
    else 'archive'
  end,
  to_char((month.ended_at + make_interval(months => p.archive_months)) at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
from everybody e
cross join month
left join nebula.tenant t on t.id = e.tenant_id
left join nebula.tenant_config c on c.tenant_id = e.tenant_id
join nebula.operational_profile p on p.key = coalesce(c.profile, 'mvp')
left join nebula.archive a on a.tenant_id = e.tenant_id and a.source = $1 and a.month = month.first_day
order by e.tenant_id
