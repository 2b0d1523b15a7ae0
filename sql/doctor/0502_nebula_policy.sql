-- The policies of one of Nebula's tables are not the two that it has: one for tenants, one for the platform.
with wanted as (
  select c.oid, c.relname, case c.relname when 'tenant' then 'id' else 'tenant_id' end as tenant_column
  from pg_class c
  where c.relnamespace = 'nebula'::regnamespace and c.relkind in ('r', 'p')
    and (c.relname = 'tenant' or exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped))
), judged as (
  select
    w.oid, w.tenant_column, p.polname,
    p.polpermissive and p.polcmd = '*' and (
      p.polname = 'tenant_isolation' and p.polroles = array[0::oid]
        and pg_get_expr(p.polqual, p.polrelid) = format('(%s = nebula.current_tenant())', w.tenant_column)
        and pg_get_expr(p.polwithcheck, p.polrelid) = format('(%s = nebula.current_tenant())', w.tenant_column)
      or p.polname = 'platform_access' and p.polroles = array[(select r.oid from pg_roles r where r.rolname = 'nebula_platform')]
        and pg_get_expr(p.polqual, p.polrelid) = 'true' and pg_get_expr(p.polwithcheck, p.polrelid) = 'true'
    ) as is_ours
  from wanted w
  left join pg_policy p on p.polrelid = w.oid
)
select
  j.oid::regclass::text,
  concat_ws(' ',
    case when count(*) filter (where j.is_ours and j.polname = 'tenant_isolation') = 0 then 'The policy tenant_isolation is missing or was changed.' end,
    case when count(*) filter (where j.is_ours and j.polname = 'platform_access') = 0 then 'The policy platform_access is missing or was changed.' end,
    'Not Nebula''s: ' || string_agg(quote_ident(j.polname), ', ' order by j.polname) filter (where not j.is_ours and j.polname is not null) || '.'),
  concat_ws(e'\n',
    'begin;',
    string_agg(format('drop policy %I on %s;', j.polname, j.oid::regclass), e'\n' order by j.polname) filter (where not j.is_ours and j.polname is not null),
    case when count(*) filter (where j.is_ours and j.polname = 'tenant_isolation') = 0 then
      format('create policy tenant_isolation on %s using (%I = nebula.current_tenant()) with check (%2$I = nebula.current_tenant());', j.oid::regclass, j.tenant_column) end,
    case when count(*) filter (where j.is_ours and j.polname = 'platform_access') = 0 then
      format('create policy platform_access on %s to nebula_platform using (true) with check (true);', j.oid::regclass) end,
    'commit;')
from judged j
group by j.oid, j.tenant_column
having count(*) filter (where j.is_ours) <> 2 or count(*) <> 2
order by 1, 2
