-- An extension has its functions in public, where callers find them by REST.
select
  'extension ' || quote_ident(e.extname),
  'Its functions are in public, among those that callers reach.',
  case when e.extrelocatable
    then format(e'create schema if not exists extensions;\nalter extension %I set schema extensions;', e.extname)
    else '-- it can''t be moved: drop it and create it again with schema extensions' end
from pg_extension e
join pg_namespace n on n.oid = e.extnamespace
where n.nspname = 'public'
order by 1, 2
