-- Events wait for longer than an hour though they are due: no worker runs, or it doesn't keep up.
select
  'nebula.outbox',
  format('%s events are due for more than an hour.', count(*)),
  '-- nebula worker'
from nebula.outbox o
where o.status = 'pending' and not o.is_held and o.available_at < now() - interval '1 hour'
having count(*) > 0
