-- Whatever makes the schema nebula what it is, one line a thing.
with acls as (
  select kind, id, string_agg(acl::text, ',' order by acl::text collate "C") as acl
  from (
    select 'r' as kind, oid as id, unnest(coalesce(relacl, acldefault(case relkind when 'S' then 's'::"char" else 'r' end, relowner))) as acl
    from pg_class
    where relnamespace = 'nebula'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'S')
    union all
    select 'f', oid, unnest(coalesce(proacl, acldefault('f', proowner))) from pg_proc where pronamespace = 'nebula'::regnamespace
    union all
    select 'T', oid, unnest(coalesce(typacl, acldefault('T', typowner))) from pg_type where typnamespace = 'nebula'::regnamespace
    union all
    select 'n', oid, unnest(coalesce(nspacl, acldefault('n', nspowner))) from pg_namespace where nspname = 'nebula'
  ) entry
  group by kind, id
)
select 'relation ' || c.oid::regclass || ' ' || c.relkind::text || ' ' || c.relowner::regrole || ' ' || c.relrowsecurity || c.relforcerowsecurity || c.relpersistence::text || ' '
  || coalesce(c.reloptions::text, '') || ' ' || coalesce(pg_get_partkeydef(c.oid), '') || ' ' || coalesce(pg_get_expr(c.relpartbound, c.oid), '') || ' '
  || coalesce(a.acl, '') || ' ' || coalesce(obj_description(c.oid, 'pg_class'), '') as line
from pg_class c
left join acls a on a.kind = 'r' and a.id = c.oid
where c.relnamespace = 'nebula'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'S')
union all
select 'view ' || c.oid::regclass || ' ' || pg_get_viewdef(c.oid)
from pg_class c
where c.relnamespace = 'nebula'::regnamespace and c.relkind in ('v', 'm')
union all
select 'column ' || a.attrelid::regclass || '.' || a.attname || ' ' || a.attnum || ' ' || format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull || ' ' || a.attidentity::text
  || a.attgenerated::text || ' ' || coalesce(pg_get_expr(d.adbin, d.adrelid), '') || ' ' || coalesce(a.attacl::text, '') || ' ' || coalesce(col_description(a.attrelid, a.attnum), '')
from pg_attribute a
join pg_class c on c.oid = a.attrelid
left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
where c.relnamespace = 'nebula'::regnamespace and c.relkind in ('r', 'p', 'v', 'm') and a.attnum > 0 and not a.attisdropped
union all
select 'constraint ' || conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) || ' ' || convalidated || ' ' || coalesce(obj_description(oid, 'pg_constraint'), '')
from pg_constraint
where connamespace = 'nebula'::regnamespace and conrelid <> 0
union all
select 'index ' || pg_get_indexdef(i.indexrelid) || ' ' || i.indisvalid || i.indisreplident || i.indisclustered || ' ' || coalesce(obj_description(i.indexrelid, 'pg_class'), '')
from pg_index i
join pg_class c on c.oid = i.indrelid
where c.relnamespace = 'nebula'::regnamespace
union all
select 'policy ' || p.tablename || ' ' || p.policyname || ' ' || p.permissive || ' ' || p.roles::text || ' ' || p.cmd || ' ' || coalesce(p.qual, '') || ' ' || coalesce(p.with_check, '')
from pg_policies p
where p.schemaname = 'nebula'
union all
select 'trigger ' || t.tgrelid::regclass || ' ' || t.tgenabled::text || ' ' || pg_get_triggerdef(t.oid) || ' ' || coalesce(obj_description(t.oid, 'pg_trigger'), '')
from pg_trigger t
join pg_class c on c.oid = t.tgrelid
where c.relnamespace = 'nebula'::regnamespace and not t.tgisinternal
union all
select 'event trigger ' || evtname || ' ' || evtevent || ' ' || evtowner::regrole || ' ' || evtenabled::text || ' ' || evtfoid::regprocedure || ' ' || coalesce(evttags::text, '')
from pg_event_trigger
where evtfoid in (select oid from pg_proc where pronamespace = 'nebula'::regnamespace)
union all
select 'function ' || p.oid::regprocedure || ' ' || p.proowner::regrole || ' ' || coalesce(a.acl, '') || ' ' || coalesce(obj_description(p.oid, 'pg_proc'), '') || ' '
  || case when p.prokind = 'a' then 'aggregate' else pg_get_functiondef(p.oid) end
from pg_proc p
left join acls a on a.kind = 'f' and a.id = p.oid
where p.pronamespace = 'nebula'::regnamespace
union all
select 'type ' || t.oid::regtype || ' ' || t.typtype::text || ' ' || t.typowner::regrole || ' ' || coalesce(a.acl, '') || ' ' || coalesce(obj_description(t.oid, 'pg_type'), '') || ' '
  || coalesce((select string_agg(enumlabel, ',' order by enumsortorder) from pg_enum where enumtypid = t.oid), '') || ' ' || format_type(t.typbasetype, t.typtypmod) || ' '
  || coalesce((select string_agg(pg_get_constraintdef(oid), ',' order by conname) from pg_constraint where contypid = t.oid), '')
from pg_type t
left join acls a on a.kind = 'T' and a.id = t.oid
left join pg_class c on c.oid = t.typrelid
where t.typnamespace = 'nebula'::regnamespace and t.typtype in ('e', 'd', 'r', 'c') and coalesce(c.relkind = 'c', true)
union all
select 'operator ' || oprname || ' ' || oprleft::regtype || ' ' || oprright::regtype || ' ' || oprcode || ' ' || oprowner::regrole
from pg_operator
where oprnamespace = 'nebula'::regnamespace
union all
select 'cast ' || castsource::regtype || ' ' || casttarget::regtype || ' ' || castcontext::text
from pg_cast
where castfunc in (select oid from pg_proc where pronamespace = 'nebula'::regnamespace)
union all
select 'statistics ' || stxname || ' ' || pg_get_statisticsobjdef(oid)
from pg_statistic_ext
where stxnamespace = 'nebula'::regnamespace
union all
select 'schema ' || nspname || ' ' || nspowner::regrole || ' ' || a.acl || ' ' || coalesce(obj_description(n.oid, 'pg_namespace'), '')
from pg_namespace n
join acls a on a.kind = 'n' and a.id = n.oid
union all
select 'default privileges ' || defaclrole::regrole || ' ' || defaclobjtype::text || ' ' || defaclacl::text
from pg_default_acl
where defaclnamespace = 'nebula'::regnamespace
union all
select 'extension ' || e.extname || ' ' || e.extversion || ' ' || e.extowner::regrole || ' ' || e.extnamespace::regnamespace || ' ' || e.extrelocatable || ' '
  || coalesce(e.extconfig::text, '') || ' ' || coalesce(obj_description(e.oid, 'pg_extension'), '')
from pg_extension e
union all
select 'member of ' || e.extname || ' ' || pg_describe_object(d.classid, d.objid, d.objsubid)
from pg_depend d
join pg_extension e on e.oid = d.refobjid
where d.refclassid = 'pg_extension'::regclass and d.deptype = 'e' and e.extname = 'nebula'
order by 1
