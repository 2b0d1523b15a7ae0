-- A rewrite rule stands on a tenant's table: what it adds runs with the rights of the table's owner.
select
  t.name || ' rule ' || quote_ident(r.rulename),
  'Statements of a rule run as the table''s owner. A trigger runs as who writes.',
  format('drop rule %I on %s;', r.rulename, t.name)
from nebula.doctor_tables($1) t
join pg_rewrite r on r.ev_class = t.id
where t.tenant_column is not null
order by 1, 2
