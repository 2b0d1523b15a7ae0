-- A key stands in the text of a function, a view or a trigger, or in a setting of a database or role: everybody with a login reads those.
with texts as (
  select f.name as object, f.source as text, '-- issue another key, then take this one out of the text of ' || f.name as remedy
  from nebula.doctor_functions($1) f
  union all
  select c.oid::regclass::text, pg_get_viewdef(c.oid), '-- issue another key, then take this one out of the text of ' || c.oid::regclass
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  where n.nspname = any ($1) and c.relkind in ('v', 'm')
  union all
  select g.tgrelid::regclass || ' trigger ' || quote_ident(g.tgname), encode(g.tgargs, 'escape'),
    format('drop trigger %I on %s; -- issue another key, and make the trigger anew without it', g.tgname, g.tgrelid::regclass)
  from pg_trigger g
  join nebula.doctor_tables($1) t on t.id = g.tgrelid
  where g.tgnargs > 0
  union all
  select
    'setting ' || split_part(s.entry, '=', 1) || coalesce(' of database ' || quote_ident(d.datname), '') || coalesce(' of role ' || quote_ident(r.rolname), ''),
    s.entry,
    case when r.rolname is null then format('alter database %I reset %s;', d.datname, split_part(s.entry, '=', 1))
    else format('alter role %I%s reset %s;', r.rolname, ' in database ' || quote_ident(d.datname), split_part(s.entry, '=', 1)) end
  from pg_db_role_setting x
  cross join unnest(x.setconfig) s (entry)
  left join pg_database d on d.oid = x.setdatabase
  left join pg_roles r on r.oid = x.setrole
  where d.datname is null or d.datname = current_database()
)
select
  object,
  format('It holds %s.', case
    when text ~ '-----BEGIN [A-Z ]*PRIVATE KEY-----' then 'a private key'
    when text ~ '\msb_secret_[A-Za-z0-9_-]{10,}' then 'a secret key of Supabase'
    when text ~ '\meyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}' then 'a JWT, such as the service_role key'
    when text ~ '\mneb[a-z]*_[A-Za-z0-9_-]{60,}' then 'an API key'
    when text ~ '\msk_live_[A-Za-z0-9]{10,}' then 'a live key of a payment service'
    else 'a secret' end),
  remedy
from texts
where text ~ '-----BEGIN [A-Z ]*PRIVATE KEY-----|\msb_secret_[A-Za-z0-9_-]{10,}|\meyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}|\mneb[a-z]*_[A-Za-z0-9_-]{60,}|\msk_live_[A-Za-z0-9]{10,}|^[^=]*jwt_secret=.{8}'
order by 1, 2
