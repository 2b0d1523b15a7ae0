-- Row-level security of a protected table is not enabled or not forced: nothing that protects it is asked.
select
  p.relation::text,
  case when c.relrowsecurity then 'It is not forced: the owner sees every tenant.' else 'It is disabled: no policy is asked, nor the library''s floor.' end,
  format(e'alter table %s enable row level security;\nalter table %1$s force row level security;', p.relation)
from nebula.protected_table p
join pg_catalog.pg_class c on c.oid = p.relation
where p.is_complete and not (c.relrowsecurity and c.relforcerowsecurity)
