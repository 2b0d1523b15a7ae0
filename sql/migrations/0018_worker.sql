-- What workers need: where this database may send from, and whose turn a periodic task is.

create table nebula.delivery_place (
  id uuid not null default nebula.uuid_v7(),
  fingerprint text not null,
  created_at timestamptz not null default now(),
  adopted_by text not null default session_user,
  constraint pk_delivery_place primary key (id),
  constraint uq_delivery_place_fingerprint unique (fingerprint)
);
comment on table nebula.delivery_place is
  'The places that this database may send from: a copy stands at another, and sends nothing until somebody adopts it.';
comment on column nebula.delivery_place.fingerprint is 'Of the cluster, the database and the files it lies in; nebula.delivery_place_here() says the present one.';
comment on column nebula.delivery_place.adopted_by is 'The login that adopted it.';
select nebula.govern_table('nebula.delivery_place');

create table nebula.task (
  id uuid not null default nebula.uuid_v7(),
  name text not null,
  due_at timestamptz not null default now(),
  locked_by text,
  locked_until timestamptz,
  last_error text,
  finished_at timestamptz,
  constraint pk_task primary key (id),
  constraint uq_task_name unique (name)
);
comment on table nebula.task is 'Periodic work: one worker at a time does it.';
comment on column nebula.task.locked_by is 'The worker that does it.';
comment on column nebula.task.locked_until is 'The end of its lease.';
comment on column nebula.task.last_error is 'Why it failed the last time; null where it did not.';
select nebula.govern_table('nebula.task', audited => false);
