-- $1 the catalog.
insert into nebula.package as p (key, name, description)
select package ->> 'key', package ->> 'name', package ->> 'description'
from jsonb_array_elements($1::jsonb -> 'packages') as package
on conflict (key) do update
set name = excluded.name, description = excluded.description
where (p.name, p.description) is distinct from (excluded.name, excluded.description)
