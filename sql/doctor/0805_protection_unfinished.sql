-- nebula.protect() began with a table an hour ago and has not finished: nobody sees more than before, and nothing is protected yet.
select
  coalesce(c.oid::regclass::text, p.resource),
  format('It began %s.', date_trunc('second', p.created_at)),
  format('-- call nebula protect or nebula.protect() for %s again, with the same options: it goes on where it stopped', coalesce(c.oid::regclass::text, p.resource))
from nebula.protected_table p
left join pg_catalog.pg_class c on c.oid = p.relation
where not p.is_complete and p.updated_at < now() - interval '1 hour'
