insert into hand.live (tenant_id, type, payload) select :tenant::uuid, 'bench.noop', '{"version": 1, "data": {}}' from generate_series(1, :jobs);
