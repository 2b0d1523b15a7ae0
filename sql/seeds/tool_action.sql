-- $1 the catalog.
insert into nebula.tool_action as a (tool_id, key, name, kind)
select t.id, action ->> 'key', action ->> 'name', action ->> 'kind'
from jsonb_array_elements($1::jsonb -> 'tools') as tool
join nebula.tool t on t.key = tool ->> 'key'
cross join jsonb_array_elements(tool -> 'actions') as action
on conflict (key) do update
set tool_id = excluded.tool_id, name = excluded.name, kind = excluded.kind
where (a.tool_id, a.name, a.kind) is distinct from (excluded.tool_id, excluded.name, excluded.kind)
