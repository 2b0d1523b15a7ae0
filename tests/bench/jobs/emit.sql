select nebula.emit(:type, '{}', null, :tenant::uuid);
