-- $1 the catalog. A row is touched only where it differs, so that running it again changes nothing.
insert into nebula.tool as t (key, name, description)
select tool ->> 'key', tool ->> 'name', tool ->> 'description'
from jsonb_array_elements($1::jsonb -> 'tools') as tool
on conflict (key) do update
set name = excluded.name, description = excluded.description
where (t.name, t.description) is distinct from (excluded.name, excluded.description)
