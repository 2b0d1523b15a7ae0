select nebula.can('users.list');
