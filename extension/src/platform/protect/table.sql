-- What the catalog shows of a relation ($1, its oid), as JSON. Asked as who protects it, with the search path pinned: names in expressions are qualified.
select json_build_object(
  'oid', c.oid::bigint,
  'schema', n.nspname,
  'name', c.relname,
  'kind', c.relkind,
  'isTemporary', c.relpersistence = 't',
  'isOwner', pg_catalog.pg_has_role(c.relowner, 'usage'),
  'isOfExtension', exists (select from pg_catalog.pg_depend d where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype = 'e'),
  'isPartition', c.relispartition,
  'inherits', exists (
    select
    from pg_catalog.pg_inherits i
    where (i.inhrelid = c.oid and not c.relispartition) or (i.inhparent = c.oid and c.relkind = 'r')
  ),
  'rowSecurity', c.relrowsecurity,
  'forceRowSecurity', c.relforcerowsecurity,
  'hidesRows', pg_catalog.row_security_active(c.oid),
  'columns', (
    select coalesce(json_agg(json_build_object(
      'name', a.attname,
      'type', pg_catalog.format_type(a.atttypid, null),
      'isNotNull', a.attnotnull,
      'isGenerated', a.attgenerated <> '' or a.attidentity <> '',
      'default', pg_catalog.pg_get_expr(d.adbin, d.adrelid)
    ) order by a.attnum), '[]')
    from pg_catalog.pg_attribute a
    left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  ),
  'indexes', (
    select coalesce(json_agg(json_build_object(
      'name', x.relname,
      'isValid', i.indisvalid,
      'isUnique', i.indisunique,
      'isWhole', i.indpred is null and m.amname = 'btree',
      'columns', (
        select coalesce(json_agg(a.attname order by k.number), '[]')
        from unnest(i.indkey::smallint[]) with ordinality k (attnum, number)
        join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum
        where k.number <= i.indnkeyatts
      ),
      'hasExpressions', i.indexprs is not null
    ) order by x.relname), '[]')
    from pg_catalog.pg_index i
    join pg_catalog.pg_class x on x.oid = i.indexrelid
    join pg_catalog.pg_am m on m.oid = x.relam
    where i.indrelid = c.oid
  ),
  'constraints', (
    select coalesce(json_agg(json_build_object(
      'name', f.conname,
      'isValid', f.convalidated,
      'refersToTenant', f.contype = 'f' and f.confrelid = 'nebula.tenant'::regclass,
      'refersTo', case when f.contype = 'f' then f.confrelid::regclass::text end,
      'columns', (
        select coalesce(json_agg(a.attname order by k.number), '[]')
        from unnest(f.conkey) with ordinality k (attnum, number)
        join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum
      )
    ) order by f.conname), '[]')
    from pg_catalog.pg_constraint f
    where f.conrelid = c.oid
  ),
  'policies', (
    select coalesce(json_agg(json_build_object(
      'name', p.polname,
      'isPermissive', p.polpermissive,
      'command', case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete' else 'all' end,
      'roles', (select json_agg(case when role = 0 then null else pg_catalog.pg_get_userbyid(role) end) from unnest(p.polroles) role),
      'using', pg_catalog.pg_get_expr(p.polqual, p.polrelid),
      'withCheck', pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid),
      'comment', pg_catalog.obj_description(p.oid, 'pg_policy')
    ) order by p.polname), '[]')
    from pg_catalog.pg_policy p
    where p.polrelid = c.oid
  ),
  'triggers', (
    select coalesce(json_agg(json_build_object('name', t.tgname, 'function', t.tgfoid::regproc::text, 'enabled', t.tgenabled) order by t.tgname), '[]')
    from pg_catalog.pg_trigger t
    where t.tgrelid = c.oid and not t.tgisinternal
  ),
  'privileges', (
    select coalesce(json_agg(json_build_object(
      'grantee', case when acl.grantee = 0 then null else pg_catalog.pg_get_userbyid(acl.grantee) end,
      'privilege', lower(acl.privilege_type),
      'isGrantable', acl.is_grantable,
      'sequence', held.sequence
    )), '[]')
    from (
      select coalesce(c.relacl, pg_catalog.acldefault('r', c.relowner)) as relacl, null as sequence
      union all
      select s.relacl, s.oid::regclass::text
      from pg_catalog.pg_depend d
      join pg_catalog.pg_class s on s.oid = d.objid and s.relkind = 'S'
      where d.classid = 'pg_catalog.pg_class'::regclass and d.refobjid = c.oid and d.deptype = 'a'
    ) held
    cross join lateral pg_catalog.aclexplode(held.relacl) acl
    where acl.grantee <> c.relowner
  ),
  -- Those of serial columns; an identity's needs no privilege.
  'sequences', (
    select coalesce(json_agg(s.oid::regclass::text order by s.oid), '[]')
    from pg_catalog.pg_depend d
    join pg_catalog.pg_class s on s.oid = d.objid and s.relkind = 'S'
    where d.classid = 'pg_catalog.pg_class'::regclass and d.refobjid = c.oid and d.deptype = 'a'
  ),
  'blindRoles', (
    select coalesce(json_agg(distinct r.rolname), '[]')
    from pg_catalog.aclexplode(c.relacl) acl
    join pg_catalog.pg_roles r on r.oid = acl.grantee
    where not r.rolbypassrls
      and not r.rolsuper
      and acl.privilege_type in ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
      and not pg_catalog.has_function_privilege(r.oid, 'nebula.tenant_for(text)', 'execute')
  ),
  'partitions', (
    select coalesce(json_agg(t.relid::oid::bigint order by t.relid::text), '[]')
    from pg_catalog.pg_partition_tree(c.oid) t
    where t.relid <> c.oid
  )
)::text
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.oid = $1::oid
