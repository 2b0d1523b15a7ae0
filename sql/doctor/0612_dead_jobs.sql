-- Events or jobs failed so often that nobody tries them any more.
select
  'events ' || o.type,
  format('%s are dead since %s.', count(*), min(o.finished_at)::date),
  format('select nebula.requeue(id) from nebula.outbox where status = ''dead'' and type = %L;', o.type)
from nebula.outbox o
where o.status = 'dead'
group by o.type
