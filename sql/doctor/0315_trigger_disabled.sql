-- A trigger of the application is disabled, a foreign key's too: what it holds is not held.
select
  t.name || ' trigger ' || quote_ident(g.tgname),
  case when g.tgisinternal then 'A constraint is not checked.' else 'It doesn''t fire.' end,
  case when g.tgisinternal then format('alter table %s enable trigger all;', t.name) else format('alter table %s enable trigger %I;', t.name, g.tgname) end
from nebula.doctor_tables($1) t
join pg_trigger g on g.tgrelid = t.id and g.tgenabled = 'D'
order by 1, 2
