-- A periodic task is an hour late: no worker runs.
select
  'task ' || t.name,
  format('It was due %s.', date_trunc('second', t.due_at)),
  '-- nebula worker'
from nebula.task t
where t.due_at < now() - interval '1 hour' and coalesce(t.locked_until, '-infinity') < now()
