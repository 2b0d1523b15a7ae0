-- Effects that happened under a key, with what was answered.

create table nebula.idempotency_key (
  id uuid not null default nebula.uuid_v7(),
  tenant_id uuid not null,
  key text not null,
  handler text not null,
  request_digest bytea not null,
  status text not null default 'done',
  response_status smallint not null,
  response_body text,
  response_sealed bytea,
  response_hash bytea not null,
  created_at timestamptz not null default now(),
  constraint pk_idempotency_key primary key (tenant_id, id),
  constraint uq_idempotency_key_tenant_id_key_handler unique (tenant_id, key, handler),
  constraint ck_idempotency_key_status check (status = 'done'),
  constraint ck_idempotency_key_request_digest check (octet_length(request_digest) = 32),
  constraint ck_idempotency_key_response check (num_nonnulls(response_body, response_sealed) <= 1)
);
comment on table nebula.idempotency_key is 'Written once, in the transaction of the effect: what is here happened. Kept 24 hours.';
comment on column nebula.idempotency_key.key is 'The caller''s Idempotency-Key; for answers with a secret `sha256:` and the hex of its digest.';
comment on column nebula.idempotency_key.handler is 'The operation''s action key.';
comment on column nebula.idempotency_key.request_digest is 'Of actor, operation and canonical input, keyed with the installation''s secret.';
comment on column nebula.idempotency_key.status is 'Always done: a running request holds an advisory lock instead of a row.';
comment on column nebula.idempotency_key.response_status is 'The HTTP status that was answered.';
comment on column nebula.idempotency_key.response_body is 'What was answered, byte for byte.';
comment on column nebula.idempotency_key.response_sealed is 'The same where it holds a secret: sealed with a key that only the caller''s Idempotency-Key gives.';
comment on column nebula.idempotency_key.response_hash is 'SHA-256 of the answer.';
select nebula.govern_tenant_table('nebula.idempotency_key', audited => false);
