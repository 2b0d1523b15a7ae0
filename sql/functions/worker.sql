-- What every worker asks first: whether this database may send, and whose turn a task is.

create function nebula.may_deliver() returns boolean
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'may_deliver_wrapper';
comment on function nebula.may_deliver() is
  'Whether this database stands where it was installed or adopted: a copy delivers nothing.';

create function nebula.delivery_place_here() returns text
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'delivery_place_here_wrapper';
comment on function nebula.delivery_place_here() is
  'The fingerprint of where this database stands: cluster, database and file.';

create function nebula.adopt_here() returns text
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'adopt_here_wrapper';
comment on function nebula.adopt_here() is
  'Makes the present place one that this database may send from; its fingerprint.';

create function nebula.adopt_place(fingerprint text) returns boolean
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'adopt_place_wrapper';
comment on function nebula.adopt_place(text) is
  'Makes a replica''s place one that this database may send from once it is promoted: what nebula.delivery_place_here() answers there. False where it was one.';

create function nebula.start_task(worker text, name text, every interval, lease interval) returns boolean
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'start_task_wrapper';
comment on function nebula.start_task(text, text, interval, interval) is
  'Takes the turn at a periodic task if it is due and nobody has it. Raises 55000 in a copy of the database.';

create function nebula.finish_task(worker text, name text, error text default null) returns void
language c volatile parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'finish_task_wrapper';
comment on function nebula.finish_task(text, text, text) is
  'Gives the turn back, with why it failed if it did.';
