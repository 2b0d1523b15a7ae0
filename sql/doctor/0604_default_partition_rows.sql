-- Rows stand in a default partition: no retention drops them, and the partition of their month can't be made.
select
  d.partition,
  'No retention drops what stands there.',
  format(e'select nebula.settle_default(%L);\nselect nebula.ensure_partitions();', d.name)
from (
  select 'nebula.audit_log_default', 'audit_log', exists (select from nebula.audit_log_default)
  union all
  select 'nebula.usage_metrics_default', 'usage_metrics', exists (select from nebula.usage_metrics_default)
  union all
  select 'nebula.webhook_delivery_default', 'webhook_delivery', exists (select from nebula.webhook_delivery_default)
  union all
  select 'nebula.outbox_finished_default', 'outbox_finished', exists (select from nebula.outbox_finished_default)
) d (partition, name, has_rows)
where d.has_rows
