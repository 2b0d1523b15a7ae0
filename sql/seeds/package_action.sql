-- $1 the catalog. Only adds: what an operator put into a package stays.
insert into nebula.package_action (package_id, tool_action_id)
select p.id, a.id
from jsonb_array_elements($1::jsonb -> 'packages') as package
join nebula.package p on p.key = package ->> 'key'
cross join jsonb_array_elements_text(package -> 'actions') as action (key)
join nebula.tool_action a on a.key = action.key
on conflict (package_id, tool_action_id) do nothing
