-- There is no partition for next month: its rows go to the default partition, which nobody drops.
select
  'nebula.' || p.name,
  format('There is no partition for %s.', to_char(m.month, 'YYYY-MM')),
  'select nebula.ensure_partitions();'
from unnest(array['audit_log', 'usage_metrics', 'webhook_delivery', 'outbox_finished']) p (name)
cross join lateral (
  select date_trunc('month', now() at time zone 'utc') + make_interval(months => n) from generate_series(0, 1) n
) m (month)
where to_regclass(format('nebula.%I', p.name || '_' || to_char(m.month, 'YYYY_MM'))) is null
order by 1, 2
