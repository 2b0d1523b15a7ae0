-- Who wants to be told, and what became of it.

create table nebula.webhook_subscription (
  id uuid not null default nebula.uuid_v7(),
  tenant_id uuid not null,
  url text not null,
  description text not null default '',
  events text[] not null,
  secret_sealed bytea not null,
  secret_key_version integer not null,
  previous_secret_sealed bytea,
  previous_secret_key_version integer,
  previous_secret_expires_at timestamptz,
  status nebula.status not null default 'ativo',
  suspended_reason text,
  failing_since timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint pk_webhook_subscription primary key (tenant_id, id),
  constraint fk_webhook_subscription_tenant_id foreign key (tenant_id) references nebula.tenant (id),
  constraint ck_webhook_subscription_events check (cardinality(events) between 1 and 100),
  constraint ck_webhook_subscription_suspended_reason check (status = 'suspenso' or suspended_reason is null),
  constraint ck_webhook_subscription_previous check (
    num_nonnulls(previous_secret_sealed, previous_secret_key_version, previous_secret_expires_at) in (0, 3)
  )
);
comment on table nebula.webhook_subscription is 'An address of a tenant that is told of events.';
comment on column nebula.webhook_subscription.url is
  'An https URL of the public network; of this machine where nebula.allow_loopback_webhooks allowed it.';
comment on column nebula.webhook_subscription.events is 'Event types; * for all.';
comment on column nebula.webhook_subscription.secret_sealed is 'Sealed by the edge, bound to tenant and row; the database has no key to it.';
comment on column nebula.webhook_subscription.secret_key_version is 'Which of the edge''s keys sealed it.';
comment on column nebula.webhook_subscription.previous_secret_sealed is 'The secret before the last rotation: both sign until previous_secret_expires_at.';
comment on column nebula.webhook_subscription.previous_secret_key_version is 'Which of the edge''s keys sealed that.';
comment on column nebula.webhook_subscription.status is 'suspenso: by a person, or after days of failure; nothing is sent.';
comment on column nebula.webhook_subscription.failing_since is 'The first failed attempt since the last success; null while it works.';
create index idx_webhook_subscription_created_at on nebula.webhook_subscription (tenant_id, created_at, id);
select nebula.govern_tenant_table('nebula.webhook_subscription');

create table nebula.webhook_delivery (
  id uuid not null default nebula.uuid_v7(),
  tenant_id uuid not null,
  webhook_subscription_id uuid not null,
  event_id uuid not null,
  event_type text not null,
  attempt integer not null,
  status_code integer,
  latency_ms integer,
  error text,
  created_at timestamptz not null default now(),
  -- created_at is in the key because it is the partition's.
  constraint pk_webhook_delivery primary key (tenant_id, created_at, id),
  constraint ck_webhook_delivery_attempt check (attempt > 0),
  constraint ck_webhook_delivery_latency_ms check (latency_ms >= 0)
) partition by range (created_at);
comment on table nebula.webhook_delivery is 'One row per attempt to tell an address of an event. No foreign keys: it outlives the subscription.';
comment on column nebula.webhook_delivery.webhook_subscription_id is 'The subscription, which may be gone.';
comment on column nebula.webhook_delivery.event_type is 'The event''s name, such as user.created.';
comment on column nebula.webhook_delivery.latency_ms is 'From the attempt to the answer, milliseconds.';
comment on column nebula.webhook_delivery.event_id is 'The event''s id in the outbox, the same at every attempt: what consumers deduplicate by.';
comment on column nebula.webhook_delivery.attempt is 'Of telling this address of this event, from 1.';
comment on column nebula.webhook_delivery.status_code is 'What the receiver answered; null where it did not.';
comment on column nebula.webhook_delivery.error is 'Why it is no success, in the product''s words; null where it is one.';
create index idx_webhook_delivery_webhook_subscription_id on nebula.webhook_delivery (tenant_id, webhook_subscription_id, created_at, id);
create index idx_webhook_delivery_event_id on nebula.webhook_delivery (tenant_id, event_id, webhook_subscription_id);
create index idx_webhook_delivery_id on nebula.webhook_delivery (tenant_id, id);
select nebula.govern_tenant_table('nebula.webhook_delivery', audited => false);

create table nebula.webhook_delivery_default partition of nebula.webhook_delivery default;
comment on table nebula.webhook_delivery_default is 'Attempts of months that no partition was made for: nothing is refused, doctor tells.';
select nebula.govern_partition('nebula.webhook_delivery_default');
