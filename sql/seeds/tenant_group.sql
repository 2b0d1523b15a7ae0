-- $1 the tenant. The default groups.
insert into nebula.group (tenant_id, name, description)
select $1, name, description
from (values
  ('ADM_CLIENTE', 'Administradores do tenant: todas as ações de seus pacotes'),
  ('OPERATOR', 'Operação: leitura e escrita'),
  ('VIEWER', 'Consulta: somente leitura')
) as default_group (name, description)
on conflict (tenant_id, name) do nothing
