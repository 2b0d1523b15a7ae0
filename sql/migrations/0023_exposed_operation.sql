-- What nebula.expose() keeps of an operation, and the history of each. Until now nothing could write nebula.operation: it is empty.

-- An action has one operation in each version of the API, and a route that was taken away is free for another.
-- squawk-ignore ban-drop-constraint
alter table nebula.operation drop constraint uq_operation_action;
-- squawk-ignore ban-drop-constraint
alter table nebula.operation drop constraint uq_operation_method_path;
alter table nebula.operation
  add column api_version integer not null default 1,
  add column function_name text not null default '',
  add column function_owner text not null default '',
  add column grants_execute boolean not null default false,
  add column makes_action boolean not null default false;
comment on column nebula.operation.version is 'Counts the changes of this definition; operation_version has them all.';
comment on column nebula.operation.api_version is 'The number in the path: 2 of /v2/orders.';
comment on column nebula.operation.function_name is 'The function''s name alone, by which it is found in an index.';
comment on column nebula.operation.function_owner is 'Who owned the function: one of the same signature that is somebody else''s is not called.';
comment on column nebula.operation.grants_execute is 'Whether expose granted execute on the function, so that unexpose takes it back.';
comment on column nebula.operation.makes_action is 'Whether expose made the action, so that unexpose suspends it.';
-- squawk-ignore require-concurrent-index-creation
create unique index uq_operation_action_api_version on nebula.operation (action, api_version);
comment on index nebula.uq_operation_action_api_version is 'One operation of an action in a version of the API.';
-- squawk-ignore require-concurrent-index-creation
create unique index uq_operation_route on nebula.operation (method, path) where status = 'ativo';
comment on index nebula.uq_operation_route is 'A route leads to one operation.';

create table nebula.operation_version (
  id uuid not null default nebula.uuid_v7(),
  operation_id uuid not null,
  version integer not null,
  status nebula.status not null,
  definition jsonb not null,
  changed_by text not null default session_user,
  created_at timestamptz not null default now(),
  constraint pk_operation_version primary key (id),
  constraint uq_operation_version_operation_id_version unique (operation_id, version),
  constraint fk_operation_version_operation_id foreign key (operation_id) references nebula.operation (id)
);
comment on table nebula.operation_version is 'Every definition that a custom operation has had: who, when, from what to what.';
comment on column nebula.operation_version.definition is 'Route, function, kind and options as they were from then on.';
comment on column nebula.operation_version.changed_by is 'The login that called nebula.expose() or nebula.unexpose().';
select nebula.govern_table('nebula.operation_version');
create trigger refuse_change before update or delete on nebula.operation_version for each row execute function nebula.refuse_change();
create trigger refuse_truncate before truncate on nebula.operation_version for each statement execute function nebula.refuse_change();
alter table nebula.operation_version enable always trigger refuse_change;
alter table nebula.operation_version enable always trigger refuse_truncate;
