insert into hand.live (tenant_id, type, payload) values (:tenant::uuid, 'bench.noop', '{"version": 1, "data": {}}');
