-- A trigger of one of Nebula's tables doesn't fire, or not under session_replication_role: the audit, the caches of rights or the history are not kept.
select
  c.oid::regclass || ' trigger ' || quote_ident(g.tgname),
  case g.tgenabled when 'D' then 'It is disabled.' else 'Under session_replication_role it doesn''t fire as it should.' end,
  case when g.tgisinternal then format('alter table %s enable trigger all;', c.oid::regclass)
    when g.tgfoid = 'nebula.touch_updated_at'::regproc then format('alter table %s enable trigger %I;', c.oid::regclass, g.tgname)
    else format('alter table %s enable always trigger %I;', c.oid::regclass, g.tgname) end
from pg_class c
join pg_trigger g on g.tgrelid = c.oid
join pg_proc f on f.oid = g.tgfoid
where c.relnamespace = 'nebula'::regnamespace
  and case when g.tgisinternal or f.proname = 'touch_updated_at' then g.tgenabled = 'D'
    when f.proname in ('audit_change', 'rights_changed', 'refuse_change', 'refuse_change_but_erasure') then g.tgenabled <> 'A'
    else g.tgenabled = 'D' end
order by 1, 2
