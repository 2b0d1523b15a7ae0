-- Every protected table that is still there, as a JSON list.
select coalesce(json_agg(json_build_object(
  'relation', c.oid::bigint,
  'whole', (
    select whole_schema.nspname || '.' || whole.relname
    from nebula.protected_table parent
    join pg_catalog.pg_class whole on whole.oid = parent.relation
    join pg_catalog.pg_namespace whole_schema on whole_schema.oid = whole.relnamespace
    where parent.id = p.parent_id
  ),
  'tenantColumn', tenant.attname,
  'tenantAttribute', tenant.attnum,
  'resource', p.resource,
  'createAction', p.create_action,
  'updateAction', p.update_action,
  'deleteAction', p.delete_action,
  'touchesUpdatedAt', p.touches_updated_at,
  'currentTenant', pg_catalog.to_regprocedure('nebula.current_tenant()')::oid::bigint,
  'key', (
    select coalesce(json_agg(json_build_object(
      'name', k.attname,
      'isUuid', k.atttypid = 'uuid'::regtype,
      'isPlain', k.atttypid = any ('{int2,int4,int8,numeric,bool,uuid,text,varchar,bpchar,date,timestamp,timestamptz}'::regtype[])
    ) order by pg_catalog.array_position(i.indkey::smallint[], k.attnum)), '[]')
    from pg_catalog.pg_index i
    join pg_catalog.pg_attribute k on k.attrelid = c.oid and k.attnum = any (i.indkey::smallint[])
    where i.indrelid = c.oid
      and i.indisprimary
      and k.attname <> all (p.personal_columns)
      and k.attnum is distinct from tenant.attnum
  )
)), '[]')::text
from nebula.protected_table p
join pg_catalog.pg_class c on c.oid = p.relation and c.relkind in ('r', 'p')
left join lateral (
  select a.attname, a.attnum
  from pg_catalog.pg_attribute a
  where a.attrelid = c.oid
    and a.attnum > 0
    and not a.attisdropped
    and a.atttypid = 'uuid'::regtype
    and (
      a.attname = p.tenant_column
      or exists (
        select
        from pg_catalog.pg_constraint f
        where f.conrelid = c.oid
          and f.contype = 'f'
          and f.confrelid = 'nebula.tenant'::regclass
          and f.conkey = array[a.attnum]
      )
    )
  order by a.attname = p.tenant_column desc
  limit 1
) tenant on true
where exists (
    select
    from pg_catalog.pg_constraint f
    where f.conrelid = c.oid and f.contype = 'f' and f.confrelid = 'nebula.tenant'::regclass
  )
  or exists (
    select
    from pg_catalog.pg_policy y
    where y.polrelid = c.oid and y.polname in ('nebula_tenant', 'nebula_read', 'nebula_create', 'nebula_update', 'nebula_delete')
  )
  or exists (
    select
    from pg_catalog.pg_trigger t
    join pg_catalog.pg_proc f on f.oid = t.tgfoid
    where t.tgrelid = c.oid and f.pronamespace = 'nebula'::regnamespace
  )
