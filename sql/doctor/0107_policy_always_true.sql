-- A policy of a table without tenants lets everybody write: it is always true for more than reading.
select
  p.table_name || ' policy ' || quote_ident(p.name),
  format('It lets %s %s every row.', p.role_names, case p.command when 'all' then 'read and change' else p.command end),
  format('drop policy %I on %s;', p.name, p.table_name)
from nebula.doctor_policies($1) p
where p.tenant_column is null and p.is_permissive and p.is_binding and p.command <> 'select'
  and (
    regexp_replace(lower(p.using_text), '[\s()]', '', 'g') in ('true', '1=1')
    or regexp_replace(lower(p.check_text), '[\s()]', '', 'g') in ('true', '1=1')
  )
order by 1, 2
