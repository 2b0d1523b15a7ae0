-- A table takes more than twice the room that its rows need, and at least 10 MiB more (an estimate from statistics).
select
  t.name,
  format('It takes %s; its rows need about %s.', pg_size_pretty(c.relpages * 8192::bigint), pg_size_pretty(need.pages * 8192)),
  format('vacuum (full, analyze) %s; -- nobody reads or writes the table while it runs', t.name)
from nebula.doctor_tables($1 || 'nebula'::text) t
join pg_class c on c.oid = t.id and c.relkind = 'r'
cross join lateral (
  select ceil(greatest(c.reltuples, 0) * (28 + coalesce(sum(s.avg_width * (1 - s.null_frac)), 0))
    / (8168 * coalesce((select option_value::numeric from pg_options_to_table(c.reloptions) where option_name = 'fillfactor'), 100) / 100))::bigint as pages, count(*) as columns
  from pg_stats s
  join pg_namespace n on n.nspname = s.schemaname and n.oid = c.relnamespace
  where s.tablename = c.relname
) need
where need.columns > 0 and c.relpages > 2 * need.pages and (c.relpages - need.pages) * 8192::bigint > 10 * 1024 * 1024
order by 1, 2
