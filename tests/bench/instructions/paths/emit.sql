select nebula.emit('bench.tick', '{}', null, :tenant::uuid);
