-- A publication sends a table with secrets or digests of secrets to whoever subscribes.
select
  format('publication %I', p.pubname),
  format('It sends %s.', string_agg(t.relid::regclass::text, ', ' order by t.relid::regclass::text)),
  case when p.puballtables then '-- publish tables by name: drop publication ' || quote_ident(p.pubname) || ' and create it for those that are meant'
    when bool_or(s.oid is not null) then format('alter publication %I drop tables in schema nebula;', p.pubname)
    else format('alter publication %I drop table %s;', p.pubname, string_agg(t.relid::regclass::text, ', ' order by t.relid::regclass::text)) end
from pg_publication p
cross join lateral pg_get_publication_tables(p.pubname) t
join pg_class c on c.oid = t.relid and c.relnamespace = 'nebula'::regnamespace and c.relname in (
  'user_secret', 'issuer_key', 'installation', 'api_key', 'refresh_token', 'invite', 'integration_credential', 'webhook_subscription', 'idempotency_key')
left join pg_publication_namespace s on s.pnpubid = p.oid and s.pnnspid = 'nebula'::regnamespace
group by p.oid, p.pubname, p.puballtables
order by 1, 2
