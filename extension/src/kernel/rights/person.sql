-- A person and their active groups, by name. $1 tenant; $2 user. Each group is looked up by its key: a tenant has many that the person isn't in.
select
  u.status = 'ativo',
  array(
    select g.id
    from nebula.user_group ug
    cross join lateral (
      select g.id, g.name from nebula.group g where g.tenant_id = $1 and g.id = ug.group_id and g.status = 'ativo' offset 0
    ) g
    where ug.tenant_id = $1 and ug.user_id = $2
    order by g.name
  )
from nebula.user u
where u.tenant_id = $1 and u.id = $2 and u.deleted_at is null
