-- Stored answers are two days old: nobody deletes what has expired.
select
  'nebula.idempotency_key',
  'Stored answers hold names and addresses, and are kept for a day; the oldest is older than two.',
  'select nebula.purge(10000);'
where exists (select from nebula.idempotency_key k where k.created_at < now() - interval '2 days')
