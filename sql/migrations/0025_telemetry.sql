-- For nebula.metrics(): how often work of the outbox died, as a number that only grows and that nobody waits for. A row would be locked by who buries until their
-- transaction ends; counting the dead would read every partition of what is finished.

create sequence nebula.outbox_dead_seq;
comment on sequence nebula.outbox_dead_seq is 'Counts what died, since the installation; a transaction that was rolled back counts, too.';
revoke all on sequence nebula.outbox_dead_seq from public;
grant usage, select on sequence nebula.outbox_dead_seq to nebula_platform;

comment on column nebula.audit_log.metadata is
  'requestId; traceId where the edge traces; changed: names of changed columns, never their values; actorTenantId where it differs; outcome of refusals.';
