select nebula.call('users.read', :input);
