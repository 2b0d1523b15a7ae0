-- A trigger of a protected table is gone or doesn't fire as it should: its changes are not in the audit log, or are no events.
select
  p.relation || ' trigger ' || w.name,
  case when g.oid is null then 'It is gone.' else 'It doesn''t fire as it should.' end,
  concat_ws(e'\n',
    case when g.oid is null then
      format('create trigger %I after %s on %s referencing %s for each statement execute function nebula.%I();', w.name, w.verb, p.relation,
        case w.verb when 'insert' then 'new table as new_rows' when 'delete' then 'old table as old_rows' else 'old table as old_rows new table as new_rows' end, w.function) end,
    format('alter table %s enable %strigger %I;', p.relation, case when w.function = 'audit_change' then 'always ' else '' end, w.name))
from nebula.protected_table p
join pg_catalog.pg_class c on c.oid = p.relation
cross join lateral (
  select 'nebula_audit_' || v, v, 'audit_change' from unnest(array['insert', 'update', 'delete']) v where p.is_audited
  union all
  select 'nebula_emit_' || v, v, 'emit_change' from unnest(array['insert', 'update', 'delete']) v where p.emits_events
) w (name, verb, function)
left join pg_catalog.pg_trigger g on g.tgrelid = p.relation and g.tgname = w.name
where p.is_complete and (g.oid is null or g.tgenabled::text <> case when w.function = 'audit_change' then 'A' else 'O' end)
