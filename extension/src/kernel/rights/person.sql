-- A person and their active groups, by name. $1 tenant; $2 user.
select
  u.status = 'ativo',
  array(
    select g.id
    from nebula.user_group ug
    join nebula.group g on g.tenant_id = $1 and g.id = ug.group_id
    where ug.tenant_id = $1 and ug.user_id = $2 and g.status = 'ativo'
    order by g.name
  )
from nebula.user u
where u.tenant_id = $1 and u.id = $2 and u.deleted_at is null
