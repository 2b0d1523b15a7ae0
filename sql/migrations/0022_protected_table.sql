-- The application's tables that nebula.protect() made tenant-safe, and what they were before.

create table nebula.protected_table (
  id uuid not null default nebula.uuid_v7(),
  relation regclass not null,
  parent_id uuid,
  tenant_column text not null,
  resource text not null,
  read_action text not null,
  create_action text not null,
  update_action text not null,
  delete_action text not null,
  personal_columns text[] not null default '{}',
  is_audited boolean not null default true,
  emits_events boolean not null default false,
  touches_updated_at boolean not null default false,
  is_complete boolean not null default false,
  origin jsonb not null default '{}',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint pk_protected_table primary key (id),
  constraint uq_protected_table_relation unique (relation),
  constraint fk_protected_table_parent_id foreign key (parent_id) references nebula.protected_table (id) on delete cascade,
  constraint ck_protected_table_origin check (jsonb_typeof(origin) = 'object')
);
comment on table nebula.protected_table is
  'Tables of the application that are protected, or on the way to it; no foreign key keeps a row from outliving its table (extension/src/kernel/protected_table.rs).';
comment on column nebula.protected_table.relation is 'The table; a partition of a protected table has a row of its own.';
comment on column nebula.protected_table.parent_id is 'Of a partition: the protected table that it is part of.';
comment on column nebula.protected_table.tenant_column is 'The column with the tenant''s id, as it was called; where it was renamed, the one with the foreign key to nebula.tenant counts.';
comment on column nebula.protected_table.resource is 'The noun of its events and of the actions that were not named.';
comment on column nebula.protected_table.read_action is 'The action that a caller must hold to see rows.';
comment on column nebula.protected_table.create_action is 'The action that a caller must hold to insert rows.';
comment on column nebula.protected_table.update_action is 'The action that a caller must hold to update rows.';
comment on column nebula.protected_table.delete_action is 'The action that a caller must hold to delete rows.';
comment on column nebula.protected_table.personal_columns is 'Columns whose values are personal or secret: not even as part of a key do they enter the audit log or an event.';
comment on column nebula.protected_table.is_audited is 'Whether its changes are audited.';
comment on column nebula.protected_table.emits_events is 'Whether its changes are events: <resource>.created, .updated, .deleted.';
comment on column nebula.protected_table.touches_updated_at is 'Whether a trigger keeps the column updated_at.';
comment on column nebula.protected_table.is_complete is 'False while protect is under way: it goes on when it is called again.';
comment on column nebula.protected_table.origin is 'What the table was before, and what was added to it: what nebula.unprotect() gives back.';
create index idx_protected_table_parent_id on nebula.protected_table (parent_id);
select nebula.govern_table('nebula.protected_table', decides_rights => true);
