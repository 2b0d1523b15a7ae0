\set n random(1, 1000000000000)
select status, body, context
from nebula.handle(
  :tenant,
  ('{"operation":"users.create","requestId":"bench-00","idempotencyKey":"h' || :n || '","credential":"' || :token
    || '","body":{"email":"h' || :n || '@bench.test","name":"Bench User"}}')::json
);
