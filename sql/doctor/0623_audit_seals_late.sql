-- The audit log has not been sealed for an hour: no worker does it, it lacks the key, or an old transaction is open.
select
  'nebula.audit_watermark',
  case
    when w.sealed_at is null then 'Nothing was sealed since the key was registered.'
    when w.sealed_at < now() - interval '1 hour' then format('The last round was %s.', date_trunc('second', w.sealed_at))
    else format('Complete before %s alone: a transaction is as old as that, or hidden.', date_trunc('second', w.complete_before))
  end,
  '-- nebula worker, with audit-*.key in its keys folder; select * from nebula.task where name = ''seal_audit'''
from (select min(created_at) as registered_at from nebula.audit_key) k
left join nebula.audit_watermark w on true
where k.registered_at < now() - interval '1 hour' and coalesce(least(w.sealed_at, w.complete_before), '-infinity') < now() - interval '1 hour'
