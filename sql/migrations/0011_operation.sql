-- Operations that a DBA added with nebula.expose().

create table nebula.operation (
  id uuid not null default nebula.uuid_v7(),
  action text not null,
  method text not null,
  path text not null,
  function_signature text not null,
  version integer not null default 1,
  kind text not null,
  status nebula.status not null default 'ativo',
  options jsonb not null default '{}',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint pk_operation primary key (id),
  constraint uq_operation_action unique (action),
  constraint uq_operation_method_path unique (method, path),
  constraint ck_operation_method check (method in ('GET', 'POST', 'PUT', 'PATCH', 'DELETE')),
  constraint ck_operation_kind check (kind in ('read', 'write', 'admin'))
);
comment on table nebula.operation is 'Custom operations: SQL functions that are called as governed REST operations.';
comment on column nebula.operation.action is 'Its action key.';
comment on column nebula.operation.options is 'Limits, events and documentation of the operation.';
comment on column nebula.operation.function_signature is 'The function as regprocedure text.';
select nebula.govern_table('nebula.operation', decides_rights => true);
