select count(nebula.emit('bench.noop', '{}', null, :tenant::uuid)) from generate_series(1, :jobs);
