select min(p.rpo_hours), min(p.rto_hours)
from nebula.tenant t
left join nebula.tenant_config c on c.tenant_id = t.id
join nebula.operational_profile p on p.key = coalesce(c.profile, 'mvp')
where t.kind = 'customer'
  and t.status = 'ativo'
