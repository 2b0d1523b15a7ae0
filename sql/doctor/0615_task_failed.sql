-- A periodic task of the worker failed the last time.
select
  'task ' || t.name,
  t.last_error,
  '-- see the worker''s log; it is tried again by itself'
from nebula.task t
where t.last_error is not null
