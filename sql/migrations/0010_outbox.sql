-- Events and other work for the worker, written in the transaction that caused them.
--
-- Partitioned by what is left to do: the live part holds the backlog alone, so that claiming costs the same after a year as on the first day; what is finished
-- moves to monthly partitions, which are dropped whole.

create sequence nebula.outbox_position_seq;
comment on sequence nebula.outbox_position_seq is 'The order in which events were written; never shown to anybody.';
revoke all on sequence nebula.outbox_position_seq from public;
grant usage on sequence nebula.outbox_position_seq to nebula_platform;

create table nebula.outbox (
  id uuid not null default nebula.uuid_v7(),
  tenant_id uuid,
  type text not null,
  aggregate text,
  payload jsonb not null,
  is_job boolean not null default false,
  status text not null default 'pending',
  attempts integer not null default 0,
  failures integer not null default 0,
  available_at timestamptz not null default now(),
  is_held boolean not null default false,
  locked_by text,
  locked_until timestamptz,
  last_error text,
  position bigint not null default nextval('nebula.outbox_position_seq'),
  created_at timestamptz not null default now(),
  finished_at timestamptz,
  constraint ck_outbox_status check (status in ('pending', 'running', 'done', 'dead')),
  constraint ck_outbox_attempts check (attempts >= 0),
  constraint ck_outbox_failures check (failures >= 0)
) partition by list (status);
comment on table nebula.outbox is 'Events that wait for a worker, and those that are finished. Delivered at least once; id is for consumers to deduplicate.';
comment on column nebula.outbox.tenant_id is 'Whose event; null for the installation''s own.';
comment on column nebula.outbox.type is 'The event''s name, such as user.created, or the work''s, such as webhook.delivery.';
comment on column nebula.outbox.aggregate is 'What the event is about: of one tenant''s events with the same, one at a time is worked on, in the order in which they were written.';
comment on column nebula.outbox.payload is '{"version", "data"}.';
comment on column nebula.outbox.is_job is 'Work of the product itself, such as the delivery of an event to one webhook; false: an event.';
comment on column nebula.outbox.status is 'pending, running (leased until locked_until), done, dead (a person must retry it).';
comment on column nebula.outbox.attempts is 'How often it was claimed: with it a worker proves that the lease is still its own.';
comment on column nebula.outbox.failures is 'How many attempts were reported as failed: decides the next wait, and when it is dead.';
comment on column nebula.outbox.is_held is 'It was due and is not its turn: what is earlier about the same comes first, and makes it due when finished.';
comment on column nebula.outbox.locked_by is 'The worker that has or had the lease.';
comment on column nebula.outbox.locked_until is 'The end of a worker''s lease.';
comment on column nebula.outbox.last_error is 'Why the last attempt failed, in the product''s words.';
comment on column nebula.outbox.position is 'The order in which events were written.';
create index idx_outbox_created_at on nebula.outbox (tenant_id, created_at, id);
select nebula.govern_tenant_table('nebula.outbox', audited => false);

-- No index holds what a claim changes, and pages have room: a claim writes no index (HOT).
create table nebula.outbox_live partition of nebula.outbox (constraint pk_outbox_live primary key (id))
for values in ('pending', 'running') with (
  fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0
);
comment on table nebula.outbox_live is 'What waits or is being worked on.';
create index idx_outbox_live_event on nebula.outbox_live (tenant_id, available_at, position) where not is_job;
create index idx_outbox_live_job on nebula.outbox_live (tenant_id, available_at, position) where is_job;
create index idx_outbox_live_aggregate on nebula.outbox_live (tenant_id, aggregate, position) where aggregate is not null;
select nebula.govern_partition('nebula.outbox_live');
grant select, update, delete on nebula.outbox_live to nebula_platform;

create table nebula.outbox_finished partition of nebula.outbox for values in ('done', 'dead') partition by range (created_at);
comment on table nebula.outbox_finished is 'What is done, and what is dead until a person retries it.';
create index idx_outbox_finished_id on nebula.outbox_finished (tenant_id, id);
select nebula.govern_partition('nebula.outbox_finished');

create table nebula.outbox_finished_default partition of nebula.outbox_finished default;
comment on table nebula.outbox_finished_default is 'Events of months that no partition was made for: nothing is refused, doctor tells.';
select nebula.govern_partition('nebula.outbox_finished_default');
