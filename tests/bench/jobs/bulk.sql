select nebula.emit_each('bench.noop', (select jsonb_agg('{}'::jsonb) from generate_series(1, :jobs)), :tenant::uuid);
