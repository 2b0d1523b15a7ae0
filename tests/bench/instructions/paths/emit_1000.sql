select nebula.emit_each('bench.tick', :data::jsonb, :tenant::uuid);
