-- $1 the catalog. Only what is new: an action that an operator took out of a package, or put into one, stays as they left it.
insert into nebula.package_action (package_id, tool_action_id)
select p.id, a.id
from jsonb_array_elements($1::jsonb -> 'packages') as package
join nebula.package p on p.key = package ->> 'key'
cross join jsonb_array_elements_text(package -> 'actions') as action (key)
join nebula.tool_action a on a.key = action.key
where p.created_at = now() or a.created_at = now()
on conflict (package_id, tool_action_id) do nothing
