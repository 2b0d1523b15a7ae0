select nebula.emit('bench.noop', '{}', null, :tenant);
select nebula.relay('bench', 500);
