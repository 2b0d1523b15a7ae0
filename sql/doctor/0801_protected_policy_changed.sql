-- A policy of a protected table is gone or was changed: what nebula.protect() promised for that verb doesn't hold.
with wanted as (
  select p.relation, t.attname, w.name, w.command, w.is_permissive,
    case when w.name <> 'nebula_create' then format('(%s = %s)', quote_ident(t.attname), w.value) end as using_text,
    case when w.name in ('nebula_tenant', 'nebula_create', 'nebula_update') then format('(%s = %s)', quote_ident(t.attname), w.value) end as check_text
  from nebula.protected_table p
  join pg_catalog.pg_class c on c.oid = p.relation
  -- A column that was renamed is still the one with the foreign key.
  cross join lateral (
    select a.attname
    from pg_catalog.pg_attribute a
    where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.atttypid = 'uuid'::regtype
      and (a.attname = p.tenant_column or exists (
        select from pg_catalog.pg_constraint k
        where k.conrelid = c.oid and k.contype = 'f' and k.confrelid = 'nebula.tenant'::regclass and k.conkey = array[a.attnum]))
    order by a.attname = p.tenant_column desc
    limit 1
  ) t
  cross join lateral (values
    ('nebula_tenant', '*', false, 'nebula.current_tenant()'),
    ('nebula_read', 'r', true, format('nebula.tenant_for(%L::text)', p.read_action)),
    ('nebula_create', 'a', true, format('nebula.tenant_for(%L::text)', p.create_action)),
    ('nebula_update', 'w', true, format('nebula.tenant_for(%L::text)', p.update_action)),
    ('nebula_delete', 'd', true, format('nebula.tenant_for(%L::text)', p.delete_action))
  ) w (name, command, is_permissive, value)
  where p.is_complete
)
select
  w.relation || ' policy ' || w.name,
  case when y.oid is null then 'It is gone.' else 'It was changed.' end
    || case when w.is_permissive then '' else ' Without it, or the library, another policy could show other tenants'' rows.' end,
  concat_ws(e'\n',
    case when y.oid is not null then format('drop policy %I on %s;', w.name, w.relation) end,
    format('create policy %I on %s as %s for %s%s%s;', w.name, w.relation, case when w.is_permissive then 'permissive' else 'restrictive' end,
      case w.command when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete' else 'all' end,
      ' using ' || w.using_text, ' with check ' || w.check_text))
from wanted w
left join pg_catalog.pg_policy y on y.polrelid = w.relation and y.polname = w.name
where y.oid is null
  or y.polcmd::text <> w.command or y.polpermissive <> w.is_permissive or y.polroles <> array[0::oid]
  or pg_catalog.pg_get_expr(y.polqual, y.polrelid) is distinct from w.using_text
  or pg_catalog.pg_get_expr(y.polwithcheck, y.polrelid) is distinct from w.check_text
