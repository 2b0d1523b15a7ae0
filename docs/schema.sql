CREATE SCHEMA nebula;

ALTER SCHEMA nebula OWNER TO postgres;

CREATE TABLE nebula.api_key (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    tenant_id uuid NOT NULL,
    name text NOT NULL,
    role text,
    hash bytea NOT NULL,
    previous_hash bytea,
    previous_expires_at timestamp with time zone,
    expires_at timestamp with time zone,
    last_used_at timestamp with time zone,
    status nebula.status DEFAULT 'ativo'::nebula.status NOT NULL,
    suspended_reason text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_api_key_hash CHECK ((octet_length(hash) = 32)),
    CONSTRAINT ck_api_key_previous CHECK ((num_nonnulls(previous_hash, previous_expires_at) = ANY (ARRAY[0, 2]))),
    CONSTRAINT ck_api_key_role CHECK ((role = ANY (ARRAY['read-only'::text, 'write'::text, 'admin'::text])))
);

ALTER TABLE ONLY nebula.api_key FORCE ROW LEVEL SECURITY;

ALTER TABLE nebula.api_key OWNER TO nebula_owner;

COMMENT ON TABLE nebula.api_key IS 'A service account''s key. Its actor type is service.';

COMMENT ON COLUMN nebula.api_key.role IS 'The profile read-only, write or admin; null: the explicit scope in api_key_action.';

COMMENT ON COLUMN nebula.api_key.hash IS 'SHA-256 of the secret, the only form that is stored.';

COMMENT ON COLUMN nebula.api_key.previous_hash IS 'The secret before the last rotation, valid until previous_expires_at.';

COMMENT ON COLUMN nebula.api_key.last_used_at IS 'Gathered and written in batches: up to an interval late.';

CREATE TABLE nebula.api_key_action (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    tenant_id uuid NOT NULL,
    api_key_id uuid NOT NULL,
    tool_action_id uuid NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE ONLY nebula.api_key_action FORCE ROW LEVEL SECURITY;

ALTER TABLE nebula.api_key_action OWNER TO nebula_owner;

COMMENT ON TABLE nebula.api_key_action IS 'An action in the explicit scope of a key.';

CREATE TABLE nebula.archive (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    tenant_id uuid NOT NULL,
    source text NOT NULL,
    month date NOT NULL,
    location text NOT NULL,
    row_count bigint NOT NULL,
    sha256 bytea NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    dropped_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_archive_row_count CHECK ((row_count > 0)),
    CONSTRAINT ck_archive_sha256 CHECK ((octet_length(sha256) = 32))
);

ALTER TABLE ONLY nebula.archive FORCE ROW LEVEL SECURITY;

ALTER TABLE nebula.archive OWNER TO nebula_owner;

COMMENT ON TABLE nebula.archive IS 'A tenant''s rows of one month that were archived, so that their partition may be dropped.';

COMMENT ON COLUMN nebula.archive.source IS 'The table they were rows of.';

COMMENT ON COLUMN nebula.archive.month IS 'The first day of their month (UTC).';

COMMENT ON COLUMN nebula.archive.location IS 'The folder in object storage, with rows and manifest.json.';

COMMENT ON COLUMN nebula.archive.row_count IS 'How many rows.';

COMMENT ON COLUMN nebula.archive.sha256 IS 'Of the compressed file.';

COMMENT ON COLUMN nebula.archive.expires_at IS 'From then on the objects are removed, and this row with them.';

COMMENT ON COLUMN nebula.archive.dropped_at IS 'When the rows left the database: from then on the archive is all there is, and is never written again.';

CREATE TABLE nebula.audit_block (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    tenant_id uuid NOT NULL,
    month date NOT NULL,
    number integer NOT NULL,
    first_position bigint NOT NULL,
    row_ids uuid[] NOT NULL,
    row_times bigint[] NOT NULL,
    digests bytea NOT NULL,
    origin_flags bytea NOT NULL,
    origins bytea NOT NULL,
    first_created_at timestamp with time zone NOT NULL,
    last_created_at timestamp with time zone NOT NULL,
    key_version integer NOT NULL,
    previous bytea NOT NULL,
    mac bytea NOT NULL,
    sealed_at timestamp with time zone NOT NULL,
    CONSTRAINT ck_audit_block_lengths CHECK (((cardinality(row_ids) > 0) AND (cardinality(row_times) = cardinality(row_ids)) AND (octet_length(digests) = (32 * cardinality(row_ids))) AND (octet_length(origin_flags) = cardinality(row_ids)) AND (octet_length(origins) = (16 * cardinality(row_ids)))))
);
ALTER TABLE ONLY nebula.audit_block ALTER COLUMN row_ids SET STORAGE EXTERNAL;
ALTER TABLE ONLY nebula.audit_block ALTER COLUMN digests SET STORAGE EXTERNAL;
ALTER TABLE ONLY nebula.audit_block ALTER COLUMN origins SET STORAGE EXTERNAL;

ALTER TABLE ONLY nebula.audit_block FORCE ROW LEVEL SECURITY;

ALTER TABLE nebula.audit_block OWNER TO nebula_owner;

COMMENT ON TABLE nebula.audit_block IS 'Rows of the audit log that were sealed together, all of one tenant and month.';

COMMENT ON COLUMN nebula.audit_block.month IS 'The segment.';

COMMENT ON COLUMN nebula.audit_block.number IS 'Which block of the segment, from 1.';

COMMENT ON COLUMN nebula.audit_block.first_position IS 'The place of its first row among the segment''s, from 1.';

COMMENT ON COLUMN nebula.audit_block.row_ids IS 'The rows, in the order of their creation.';

COMMENT ON COLUMN nebula.audit_block.row_times IS 'Their created_at, in microseconds since 1970.';

COMMENT ON COLUMN nebula.audit_block.digests IS '32 bytes a row: HMAC-SHA256 of all that never changes.';

COMMENT ON COLUMN nebula.audit_block.origin_flags IS 'A byte a row: 1 where it told an address or a user agent when it was sealed.';

COMMENT ON COLUMN nebula.audit_block.origins IS '16 bytes a row: HMAC-SHA256, cut, of address and user agent; zero where there is none, and from the moment that anonymising takes them away.';

COMMENT ON COLUMN nebula.audit_block.first_created_at IS 'Of its oldest row.';

COMMENT ON COLUMN nebula.audit_block.last_created_at IS 'Of its newest row.';

COMMENT ON COLUMN nebula.audit_block.key_version IS 'Which key sealed it.';

COMMENT ON COLUMN nebula.audit_block.previous IS 'The seal of the block before, or 32 zeros.';

COMMENT ON COLUMN nebula.audit_block.mac IS 'Its seal: HMAC-SHA256 of all but the origins.';

CREATE TABLE nebula.audit_erasure (
    id uuid NOT NULL,
    tenant_id uuid NOT NULL,
    row_created_at timestamp with time zone NOT NULL,
    user_id uuid NOT NULL,
    erased_at timestamp with time zone DEFAULT now() NOT NULL,
    key_version integer,
    mac bytea,
    CONSTRAINT ck_audit_erasure_mac CHECK (((mac IS NULL) = (key_version IS NULL)))
);

ALTER TABLE ONLY nebula.audit_erasure FORCE ROW LEVEL SECURITY;

ALTER TABLE nebula.audit_erasure OWNER TO nebula_owner;

COMMENT ON TABLE nebula.audit_erasure IS 'Rows of the audit log whose address and user agent were taken away when a person was anonymised; the id is the row''s.';

COMMENT ON COLUMN nebula.audit_erasure.row_created_at IS 'When the row was created.';

COMMENT ON COLUMN nebula.audit_erasure.user_id IS 'Who was anonymised. No foreign key: it outlives nobody, and tells nothing more than the id.';

COMMENT ON COLUMN nebula.audit_erasure.key_version IS 'Which key sealed it.';

COMMENT ON COLUMN nebula.audit_erasure.mac IS 'The seal, once the worker has found that the person was anonymised then.';

CREATE TABLE nebula.audit_key (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    version integer NOT NULL,
    fingerprint bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_audit_key_fingerprint CHECK ((octet_length(fingerprint) = 32)),
    CONSTRAINT ck_audit_key_version CHECK (((version >= 1) AND (version <= 65535)))
);

ALTER TABLE nebula.audit_key OWNER TO nebula_owner;

COMMENT ON TABLE nebula.audit_key IS 'Which key a version of the keys that seal the audit log is. No key stands here.';

COMMENT ON COLUMN nebula.audit_key.fingerprint IS 'HMAC-SHA256 of a fixed text under the key: tells it apart and nothing about it.';

CREATE TABLE nebula.audit_log (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    tenant_id uuid NOT NULL,
    actor_user_id uuid,
    actor_api_key_id uuid,
    actor_type text NOT NULL,
    action text NOT NULL,
    entity_type text NOT NULL,
    entity_id uuid,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    ip inet,
    user_agent text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_audit_log_actor_type CHECK ((actor_type = ANY (ARRAY['user'::text, 'service'::text, 'system'::text])))
)
PARTITION BY RANGE (created_at);

ALTER TABLE ONLY nebula.audit_log FORCE ROW LEVEL SECURITY;

ALTER TABLE nebula.audit_log OWNER TO nebula_owner;

COMMENT ON TABLE nebula.audit_log IS 'Who did what to which row, when, by which request. No foreign keys: history outlives what it tells of.';

COMMENT ON COLUMN nebula.audit_log.actor_user_id IS 'The person; null for services and the system.';

COMMENT ON COLUMN nebula.audit_log.actor_api_key_id IS 'The service account''s key.';

COMMENT ON COLUMN nebula.audit_log.actor_type IS 'user, service, or system: SQL without a caller, such as a DBA''s.';

COMMENT ON COLUMN nebula.audit_log.action IS 'The operation''s action key, or table.verb where no operation ran.';

COMMENT ON COLUMN nebula.audit_log.entity_type IS 'The table of the changed row, or operation for a refusal.';

COMMENT ON COLUMN nebula.audit_log.entity_id IS 'The changed row''s id.';

COMMENT ON COLUMN nebula.audit_log.metadata IS 'requestId; traceId where the edge traces; changed: names of changed columns, never their values; actorTenantId where it differs; outcome of refusals.';

COMMENT ON COLUMN nebula.audit_log.ip IS 'Personal: null once the person is anonymised.';

COMMENT ON COLUMN nebula.audit_log.user_agent IS 'Personal: null once the person is anonymised.';

CREATE TABLE nebula.audit_log_default (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    tenant_id uuid NOT NULL,
    actor_user_id uuid,
    actor_api_key_id uuid,
    actor_type text NOT NULL,
    action text NOT NULL,
    entity_type text NOT NULL,
    entity_id uuid,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    ip inet,
    user_agent text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_audit_log_actor_type CHECK ((actor_type = ANY (ARRAY['user'::text, 'service'::text, 'system'::text])))
);

ALTER TABLE ONLY nebula.audit_log_default FORCE ROW LEVEL SECURITY;

ALTER TABLE nebula.audit_log_default OWNER TO nebula_owner;

COMMENT ON TABLE nebula.audit_log_default IS 'Rows of months that no partition was made for: nothing is refused, doctor tells.';

CREATE TABLE nebula.audit_segment (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    tenant_id uuid NOT NULL,
    number integer NOT NULL,
    month date NOT NULL,
    previous_month date,
    previous_block_count integer,
    previous_head bytea,
    block_count integer NOT NULL,
    row_count bigint NOT NULL,
    head bytea NOT NULL,
    key_version integer NOT NULL,
    mac bytea NOT NULL,
    sealed_at timestamp with time zone NOT NULL,
    dropped_at timestamp with time zone,
    drop_key_version integer,
    drop_mac bytea,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_audit_segment_counts CHECK (((number > 0) AND (block_count > 0) AND (row_count >= block_count))),
    CONSTRAINT ck_audit_segment_drop CHECK ((((drop_mac IS NULL) = (drop_key_version IS NULL)) AND ((drop_mac IS NULL) OR (dropped_at IS NOT NULL)))),
    CONSTRAINT ck_audit_segment_previous CHECK ((((number = 1) = (previous_month IS NULL)) AND ((previous_month IS NULL) = (previous_block_count IS NULL)) AND ((previous_month IS NULL) = (previous_head IS NULL))))
);

ALTER TABLE ONLY nebula.audit_segment FORCE ROW LEVEL SECURITY;

ALTER TABLE nebula.audit_segment OWNER TO nebula_owner;

COMMENT ON TABLE nebula.audit_segment IS 'A tenant''s rows of a month in the audit log, as sealed: one row each that outlives them, so that none can go missing.';

COMMENT ON COLUMN nebula.audit_segment.number IS 'The how manieth of the tenant it is, in the order of their first blocks.';

COMMENT ON COLUMN nebula.audit_segment.month IS 'The first day of the month that the rows were created in (UTC).';

COMMENT ON COLUMN nebula.audit_segment.previous_month IS 'Of the segment before, by number.';

COMMENT ON COLUMN nebula.audit_segment.previous_block_count IS 'How many blocks the segment before had when this one began.';

COMMENT ON COLUMN nebula.audit_segment.previous_head IS 'The seal of the last of those.';

COMMENT ON COLUMN nebula.audit_segment.block_count IS 'How many blocks.';

COMMENT ON COLUMN nebula.audit_segment.row_count IS 'How many rows in all blocks.';

COMMENT ON COLUMN nebula.audit_segment.head IS 'The seal of the last block.';

COMMENT ON COLUMN nebula.audit_segment.key_version IS 'Which key sealed this row the last time.';

COMMENT ON COLUMN nebula.audit_segment.mac IS 'The seal of everything above: HMAC-SHA256.';

COMMENT ON COLUMN nebula.audit_segment.dropped_at IS 'When retention dropped the rows, and the blocks with them.';

COMMENT ON COLUMN nebula.audit_segment.drop_key_version IS 'Which key sealed the drop.';

COMMENT ON COLUMN nebula.audit_segment.drop_mac IS 'The seal of the drop: the worker found that the tenant''s profile kept the rows no longer.';

CREATE TABLE nebula.audit_watermark (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    is_singleton boolean DEFAULT true NOT NULL,
    complete_before timestamp with time zone NOT NULL,
    key_version integer NOT NULL,
    mac bytea NOT NULL,
    sealed_at timestamp with time zone NOT NULL,
    CONSTRAINT ck_audit_watermark_is_singleton CHECK (is_singleton)
);

ALTER TABLE nebula.audit_watermark OWNER TO nebula_owner;

COMMENT ON TABLE nebula.audit_watermark IS 'How far the audit log is sealed.';

COMMENT ON COLUMN nebula.audit_watermark.complete_before IS 'Every row created before is in a segment, and no transaction was left that could have written another: one that shows up was put there later.';

COMMENT ON COLUMN nebula.audit_watermark.key_version IS 'Which key sealed it.';

COMMENT ON COLUMN nebula.audit_watermark.mac IS 'The seal: HMAC-SHA256.';

CREATE TABLE nebula.delivery_place (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    fingerprint text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    adopted_by text DEFAULT SESSION_USER NOT NULL
);

ALTER TABLE nebula.delivery_place OWNER TO nebula_owner;

COMMENT ON TABLE nebula.delivery_place IS 'The places that this database may send from: a copy stands at another, and sends nothing until somebody adopts it.';

COMMENT ON COLUMN nebula.delivery_place.fingerprint IS 'Of the cluster, the database and the files it lies in; nebula.delivery_place_here() says the present one.';

COMMENT ON COLUMN nebula.delivery_place.adopted_by IS 'The login that adopted it.';

CREATE TABLE nebula.export_job (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    tenant_id uuid NOT NULL,
    job_id uuid NOT NULL,
    format text NOT NULL,
    status text DEFAULT 'pending'::text NOT NULL,
    location text,
    row_count bigint,
    size_bytes bigint,
    sha256 bytea,
    last_error text,
    requested_by_user_id uuid,
    requested_by_api_key_id uuid,
    expires_at timestamp with time zone,
    finished_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_export_job_format CHECK ((format = ANY (ARRAY['json'::text, 'csv'::text]))),
    CONSTRAINT ck_export_job_location CHECK (((status = 'done'::text) = (location IS NOT NULL))),
    CONSTRAINT ck_export_job_status CHECK ((status = ANY (ARRAY['pending'::text, 'running'::text, 'done'::text, 'failed'::text, 'expired'::text])))
);

ALTER TABLE ONLY nebula.export_job FORCE ROW LEVEL SECURITY;

ALTER TABLE nebula.export_job OWNER TO nebula_owner;

COMMENT ON TABLE nebula.export_job IS 'Exports of a tenant''s data: one file in object storage each, until it expires.';

COMMENT ON COLUMN nebula.export_job.job_id IS 'The work in the outbox, export.run. No foreign key: finished work moves between partitions and is dropped with them.';

COMMENT ON COLUMN nebula.export_job.format IS 'json (one NDJSON file a table; what can be imported) or csv.';

COMMENT ON COLUMN nebula.export_job.status IS 'pending, running, done (can be downloaded until expires_at), failed, expired (the file is gone).';

COMMENT ON COLUMN nebula.export_job.location IS 'The path in object storage.';

COMMENT ON COLUMN nebula.export_job.row_count IS 'How many rows it holds.';

COMMENT ON COLUMN nebula.export_job.size_bytes IS 'How large the file is.';

COMMENT ON COLUMN nebula.export_job.sha256 IS 'Of the file.';

COMMENT ON COLUMN nebula.export_job.last_error IS 'Why it failed, in the product''s words.';

CREATE UNLOGGED TABLE nebula.gathered_usage (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    gathered_at timestamp with time zone DEFAULT now() NOT NULL,
    tenants uuid[] NOT NULL,
    actions text[] NOT NULL,
    hours bigint[] NOT NULL,
    counts bigint[] NOT NULL,
    key_tenants uuid[] NOT NULL,
    keys uuid[] NOT NULL,
    keys_used bigint[] NOT NULL
);

ALTER TABLE nebula.gathered_usage OWNER TO nebula_owner;

COMMENT ON TABLE nebula.gathered_usage IS 'What backends have counted and nobody has written into usage_metrics and api_key yet: a row each time that a backend hands over.';

COMMENT ON COLUMN nebula.gathered_usage.gathered_at IS 'When it was handed over.';

COMMENT ON COLUMN nebula.gathered_usage.tenants IS 'A counter each, by tenant, action and hour: its tenant.';

COMMENT ON COLUMN nebula.gathered_usage.actions IS 'Its action''s key.';

COMMENT ON COLUMN nebula.gathered_usage.hours IS 'Its hour''s start, in seconds since the epoch.';

COMMENT ON COLUMN nebula.gathered_usage.counts IS 'Its successful calls.';

COMMENT ON COLUMN nebula.gathered_usage.key_tenants IS 'An API key each that was presented: its tenant.';

COMMENT ON COLUMN nebula.gathered_usage.keys IS 'The API key.';

COMMENT ON COLUMN nebula.gathered_usage.keys_used IS 'Its last use, in microseconds since the epoch.';

CREATE TABLE nebula."group" (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    tenant_id uuid NOT NULL,
    name text NOT NULL,
    description text DEFAULT ''::text NOT NULL,
    status nebula.status DEFAULT 'ativo'::nebula.status NOT NULL,
    suspended_reason text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_group_name CHECK (((length(name) >= 1) AND (length(name) <= 200))),
    CONSTRAINT ck_group_suspended_reason CHECK (((status = 'suspenso'::nebula.status) OR (suspended_reason IS NULL)))
);

ALTER TABLE ONLY nebula."group" FORCE ROW LEVEL SECURITY;

ALTER TABLE nebula."group" OWNER TO nebula_owner;

COMMENT ON TABLE nebula."group" IS 'A set of people who may do the same things.';

COMMENT ON COLUMN nebula."group".name IS 'Unique per tenant. ADM_CLIENTE, OPERATOR and VIEWER are made by the tenant seed.';

COMMENT ON COLUMN nebula."group".status IS 'suspenso: its permissions don''t count.';

CREATE TABLE nebula.group_permission (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    tenant_id uuid NOT NULL,
    group_id uuid NOT NULL,
    tool_action_id uuid NOT NULL,
    constraints jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_group_permission_constraints CHECK (((jsonb_typeof(constraints) = 'object'::text) AND ((constraints - ARRAY['ipCidrs'::text, 'validFrom'::text, 'validUntil'::text, 'resourceIds'::text, 'maxPerDay'::text]) = '{}'::jsonb)))
);

ALTER TABLE ONLY nebula.group_permission FORCE ROW LEVEL SECURITY;

ALTER TABLE nebula.group_permission OWNER TO nebula_owner;

COMMENT ON TABLE nebula.group_permission IS 'An action that a group grants to its members.';

COMMENT ON COLUMN nebula.group_permission.constraints IS 'ipCidrs, validFrom, validUntil, resourceIds, maxPerDay: all must hold for the grant to count.';

CREATE TABLE nebula.idempotency_key (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    tenant_id uuid NOT NULL,
    key text NOT NULL,
    handler text NOT NULL,
    request_digest bytea NOT NULL,
    status text DEFAULT 'done'::text NOT NULL,
    response_status smallint NOT NULL,
    response_body text,
    response_sealed bytea,
    response_hash bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_idempotency_key_request_digest CHECK ((octet_length(request_digest) = 32)),
    CONSTRAINT ck_idempotency_key_response CHECK ((num_nonnulls(response_body, response_sealed) <= 1)),
    CONSTRAINT ck_idempotency_key_status CHECK ((status = 'done'::text))
);

ALTER TABLE ONLY nebula.idempotency_key FORCE ROW LEVEL SECURITY;

ALTER TABLE nebula.idempotency_key OWNER TO nebula_owner;

COMMENT ON TABLE nebula.idempotency_key IS 'Written once, in the transaction of the effect: what is here happened. Kept 24 hours.';

COMMENT ON COLUMN nebula.idempotency_key.key IS 'The caller''s Idempotency-Key; for answers with a secret `sha256:` and the hex of its digest.';

COMMENT ON COLUMN nebula.idempotency_key.handler IS 'The operation''s action key.';

COMMENT ON COLUMN nebula.idempotency_key.request_digest IS 'Of actor, operation and canonical input, keyed with the installation''s secret.';

COMMENT ON COLUMN nebula.idempotency_key.status IS 'Always done: a running request holds an advisory lock instead of a row.';

COMMENT ON COLUMN nebula.idempotency_key.response_status IS 'The HTTP status that was answered.';

COMMENT ON COLUMN nebula.idempotency_key.response_body IS 'What was answered, byte for byte.';

COMMENT ON COLUMN nebula.idempotency_key.response_sealed IS 'The same where it holds a secret: sealed with a key that only the caller''s Idempotency-Key gives.';

COMMENT ON COLUMN nebula.idempotency_key.response_hash IS 'SHA-256 of the answer.';

CREATE TABLE nebula.installation (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    secret bytea DEFAULT nebula.random_bytes(32) NOT NULL,
    issuer text DEFAULT 'nebula'::text NOT NULL,
    audience text DEFAULT 'nebula'::text NOT NULL,
    refresh_days integer DEFAULT 30 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    is_singleton boolean DEFAULT true NOT NULL,
    postgrest_trust text DEFAULT 'claims'::text NOT NULL,
    CONSTRAINT ck_installation_is_singleton CHECK (is_singleton),
    CONSTRAINT ck_installation_postgrest_trust CHECK ((postgrest_trust = ANY (ARRAY['claims'::text, 'token'::text]))),
    CONSTRAINT ck_installation_refresh_days CHECK (((refresh_days >= 7) AND (refresh_days <= 30))),
    CONSTRAINT ck_installation_secret CHECK ((octet_length(secret) = 32))
);

ALTER TABLE nebula.installation OWNER TO nebula_owner;

COMMENT ON TABLE nebula.installation IS 'One row: who this installation is.';

COMMENT ON COLUMN nebula.installation.secret IS '256 random bits that sign cursors and make up the salts of unknown users.';

COMMENT ON COLUMN nebula.installation.issuer IS 'The `iss` of access tokens.';

COMMENT ON COLUMN nebula.installation.audience IS 'The `aud` of access tokens.';

COMMENT ON COLUMN nebula.installation.refresh_days IS 'How long a refresh token lives: 7 to 30 days.';

COMMENT ON COLUMN nebula.installation.postgrest_trust IS 'What is believed in the sessions of PostgREST''s login: claims, or token (verified again). nebula.set_postgrest_trust() sets it.';

CREATE TABLE nebula.integration_credential (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    tenant_id uuid NOT NULL,
    provider text NOT NULL,
    name text NOT NULL,
    data_encrypted bytea NOT NULL,
    key_version integer NOT NULL,
    expires_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_integration_credential_key_version CHECK ((key_version > 0))
);

ALTER TABLE ONLY nebula.integration_credential FORCE ROW LEVEL SECURITY;

ALTER TABLE nebula.integration_credential OWNER TO nebula_owner;

COMMENT ON TABLE nebula.integration_credential IS 'Credentials for services of others. They go in and never come out through the API.';

COMMENT ON COLUMN nebula.integration_credential.provider IS 'Which service, such as stripe.';

COMMENT ON COLUMN nebula.integration_credential.data_encrypted IS 'Sealed by the edge, bound to tenant, row, field and key version; the database has no key to it.';

COMMENT ON COLUMN nebula.integration_credential.key_version IS 'Which sealing key sealed it.';

CREATE TABLE nebula.invite (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    tenant_id uuid NOT NULL,
    user_id uuid NOT NULL,
    purpose text DEFAULT 'invite'::text NOT NULL,
    hash bytea NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    used_at timestamp with time zone,
    made_by_user_id uuid,
    made_by_api_key_id uuid,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_invite_hash CHECK ((octet_length(hash) = 32)),
    CONSTRAINT ck_invite_purpose CHECK ((purpose = ANY (ARRAY['invite'::text, 'reset'::text])))
);

ALTER TABLE ONLY nebula.invite FORCE ROW LEVEL SECURITY;

ALTER TABLE nebula.invite OWNER TO nebula_owner;

COMMENT ON TABLE nebula.invite IS 'A one-time token with which a person sets a password.';

COMMENT ON COLUMN nebula.invite.purpose IS 'invite (first password) or reset.';

COMMENT ON COLUMN nebula.invite.hash IS 'SHA-256 of the secret.';

COMMENT ON COLUMN nebula.invite.made_by_user_id IS 'Who made it: they must hold what the person holds when it is used, not only when it was made.';

COMMENT ON COLUMN nebula.invite.made_by_api_key_id IS 'The same for a service account. Both null: the platform, at onboarding.';

CREATE TABLE nebula.issuer (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    issuer text NOT NULL,
    audience text NOT NULL,
    jwks_url text,
    algorithms text[] NOT NULL,
    tenant_claim text,
    fixed_tenant_id uuid,
    email_claim text DEFAULT 'email'::text NOT NULL,
    email_verified_claim text,
    trusts_email boolean DEFAULT false NOT NULL,
    max_lifetime_seconds integer DEFAULT 86400 NOT NULL,
    status nebula.status DEFAULT 'ativo'::nebula.status NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_issuer_algorithms CHECK (((cardinality(algorithms) > 0) AND (algorithms <@ ARRAY['RS256'::text, 'ES256'::text, 'EdDSA'::text, 'HS256'::text]))),
    CONSTRAINT ck_issuer_audience CHECK (((length(audience) >= 1) AND (length(audience) <= 255))),
    CONSTRAINT ck_issuer_email CHECK (((email_verified_claim IS NULL) OR (NOT trusts_email))),
    CONSTRAINT ck_issuer_issuer CHECK (((length(issuer) >= 1) AND (length(issuer) <= 255))),
    CONSTRAINT ck_issuer_jwks_url CHECK (((jwks_url ~ '^https?://'::text) AND (length(jwks_url) <= 2000))),
    CONSTRAINT ck_issuer_max_lifetime_seconds CHECK (((max_lifetime_seconds >= 60) AND (max_lifetime_seconds <= 604800))),
    CONSTRAINT ck_issuer_reserved CHECK ((issuer <> 'internal'::text)),
    CONSTRAINT ck_issuer_tenant CHECK (((tenant_claim IS NULL) <> (fixed_tenant_id IS NULL)))
);

ALTER TABLE nebula.issuer OWNER TO nebula_owner;

COMMENT ON TABLE nebula.issuer IS 'Who else may say who somebody is. Only nebula_owner''s functions read it; a DBA registers, the edge''s login can''t.';

COMMENT ON COLUMN nebula.issuer.issuer IS 'The exact value of `iss`; `user.auth_provider` of the people it speaks for.';

COMMENT ON COLUMN nebula.issuer.audience IS 'What `aud` must be or contain.';

COMMENT ON COLUMN nebula.issuer.jwks_url IS 'Where it publishes its keys; the edge fetches from here and from nowhere else. Null: keys are registered by hand.';

COMMENT ON COLUMN nebula.issuer.algorithms IS 'What its signatures may be made with; a key verifies its own algorithm alone.';

COMMENT ON COLUMN nebula.issuer.tenant_claim IS 'The claim that holds the tenant''s id, as names joined by dots.';

COMMENT ON COLUMN nebula.issuer.fixed_tenant_id IS 'The tenant of everybody whom it speaks for. No foreign key: global tables reference no tenant (Citus).';

COMMENT ON COLUMN nebula.issuer.email_claim IS 'The claim that holds the e-mail address.';

COMMENT ON COLUMN nebula.issuer.email_verified_claim IS 'The claim that is true where the address was verified.';

COMMENT ON COLUMN nebula.issuer.trusts_email IS 'It verifies every address before it names it.';

COMMENT ON COLUMN nebula.issuer.max_lifetime_seconds IS 'The longest life of its tokens.';

COMMENT ON CONSTRAINT ck_issuer_email ON nebula.issuer IS 'Verified where a claim says so, or always, or (neither) never.';

COMMENT ON CONSTRAINT ck_issuer_reserved ON nebula.issuer IS 'internal is what user.auth_provider says of people who have a password here.';

COMMENT ON CONSTRAINT ck_issuer_tenant ON nebula.issuer IS 'The tenant comes from the token or is always the same, never from a request.';

CREATE TABLE nebula.issuer_key (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    issuer_id uuid NOT NULL,
    kid text,
    alg text NOT NULL,
    public_key bytea,
    secret bytea,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_issuer_key_alg CHECK ((alg = ANY (ARRAY['RS256'::text, 'ES256'::text, 'EdDSA'::text, 'HS256'::text]))),
    CONSTRAINT ck_issuer_key_kid CHECK (((length(kid) >= 1) AND (length(kid) <= 255))),
    CONSTRAINT ck_issuer_key_public_key CHECK (((alg <> 'HS256'::text) = ((public_key IS NOT NULL) AND (kid IS NOT NULL)))),
    CONSTRAINT ck_issuer_key_secret CHECK ((((alg = 'HS256'::text) = ((secret IS NOT NULL) AND (kid IS NULL))) AND ((octet_length(secret) >= 32) AND (octet_length(secret) <= 1024))))
);

ALTER TABLE nebula.issuer_key OWNER TO nebula_owner;

COMMENT ON TABLE nebula.issuer_key IS 'What other issuers'' signatures are verified with.';

COMMENT ON COLUMN nebula.issuer_key.public_key IS 'DER SubjectPublicKeyInfo: RSA of at least 2048 bits, P-256 or Ed25519.';

COMMENT ON COLUMN nebula.issuer_key.secret IS 'The secret that is shared with the issuer: whoever reads it can sign for everybody whom it speaks for. It stands in dumps.';

COMMENT ON CONSTRAINT ck_issuer_key_public_key ON nebula.issuer_key IS 'No algorithm but HS256 goes without a named public key.';

COMMENT ON CONSTRAINT ck_issuer_key_secret ON nebula.issuer_key IS 'HS256 and nothing else has a secret, of as many bits as its hash at least (RFC 7518, section 3.2).';

CREATE UNLOGGED TABLE nebula.login_failure (
    key bytea NOT NULL,
    failures integer DEFAULT 0 NOT NULL,
    last_failed_at timestamp with time zone DEFAULT now() NOT NULL,
    blocked_until timestamp with time zone,
    CONSTRAINT ck_login_failure_key CHECK ((octet_length(key) = 16))
);

ALTER TABLE nebula.login_failure OWNER TO nebula_owner;

COMMENT ON TABLE nebula.login_failure IS 'Wrong passwords of an account or from an address; they slow the next attempt down.';

COMMENT ON COLUMN nebula.login_failure.key IS 'A keyed digest of the account or the address, whether or not there is such an account.';

COMMENT ON COLUMN nebula.login_failure.failures IS 'Since the last right password, or since an hour without one.';

COMMENT ON COLUMN nebula.login_failure.blocked_until IS 'Until then no password is looked at.';

CREATE TABLE nebula.operation (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    action text NOT NULL,
    method text NOT NULL,
    path text NOT NULL,
    function_signature text NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    kind text NOT NULL,
    status nebula.status DEFAULT 'ativo'::nebula.status NOT NULL,
    options jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    api_version integer DEFAULT 1 NOT NULL,
    function_name text DEFAULT ''::text NOT NULL,
    function_owner text DEFAULT ''::text NOT NULL,
    grants_execute boolean DEFAULT false NOT NULL,
    makes_action boolean DEFAULT false NOT NULL,
    CONSTRAINT ck_operation_kind CHECK ((kind = ANY (ARRAY['read'::text, 'write'::text, 'admin'::text]))),
    CONSTRAINT ck_operation_method CHECK ((method = ANY (ARRAY['GET'::text, 'POST'::text, 'PUT'::text, 'PATCH'::text, 'DELETE'::text])))
);

ALTER TABLE nebula.operation OWNER TO nebula_owner;

COMMENT ON TABLE nebula.operation IS 'Custom operations: SQL functions that are called as governed REST operations.';

COMMENT ON COLUMN nebula.operation.action IS 'Its action key.';

COMMENT ON COLUMN nebula.operation.function_signature IS 'The function as regprocedure text.';

COMMENT ON COLUMN nebula.operation.version IS 'Counts the changes of this definition; operation_version has them all.';

COMMENT ON COLUMN nebula.operation.options IS 'Limits, events and documentation of the operation.';

COMMENT ON COLUMN nebula.operation.api_version IS 'The number in the path: 2 of /v2/orders.';

COMMENT ON COLUMN nebula.operation.function_name IS 'The function''s name alone, by which it is found in an index.';

COMMENT ON COLUMN nebula.operation.function_owner IS 'Who owned the function: one of the same signature that is somebody else''s is not called.';

COMMENT ON COLUMN nebula.operation.grants_execute IS 'Whether expose granted execute on the function, so that unexpose takes it back.';

COMMENT ON COLUMN nebula.operation.makes_action IS 'Whether expose made the action, so that unexpose suspends it.';

CREATE TABLE nebula.operation_version (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    operation_id uuid NOT NULL,
    version integer NOT NULL,
    status nebula.status NOT NULL,
    definition jsonb NOT NULL,
    changed_by text DEFAULT SESSION_USER NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE nebula.operation_version OWNER TO nebula_owner;

COMMENT ON TABLE nebula.operation_version IS 'Every definition that a custom operation has had: who, when, from what to what.';

COMMENT ON COLUMN nebula.operation_version.definition IS 'Route, function, kind and options as they were from then on.';

COMMENT ON COLUMN nebula.operation_version.changed_by IS 'The login that called nebula.expose() or nebula.unexpose().';

CREATE TABLE nebula.operational_profile (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    key text NOT NULL,
    audit_days integer NOT NULL,
    archive_months integer,
    usage_months integer NOT NULL,
    delivery_days integer NOT NULL,
    retry_seconds integer[] NOT NULL,
    webhook_failure_days integer DEFAULT 5 NOT NULL,
    rpo_hours integer NOT NULL,
    rto_hours integer NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_operational_profile_archive_months CHECK ((archive_months > 0)),
    CONSTRAINT ck_operational_profile_days CHECK (((audit_days > 0) AND (usage_months > 0) AND (delivery_days > 0) AND (webhook_failure_days > 0))),
    CONSTRAINT ck_operational_profile_key CHECK ((key = ANY (ARRAY['mvp'::text, 'standard'::text, 'enterprise'::text]))),
    CONSTRAINT ck_operational_profile_recovery CHECK (((rpo_hours > 0) AND (rto_hours > 0))),
    CONSTRAINT ck_operational_profile_retry_seconds CHECK (((cardinality(retry_seconds) > 0) AND (0 < ALL (retry_seconds))))
);

ALTER TABLE nebula.operational_profile OWNER TO nebula_owner;

COMMENT ON TABLE nebula.operational_profile IS 'How long things are kept and how often is retried, by operational profile.';

COMMENT ON COLUMN nebula.operational_profile.audit_days IS 'How long rows of the audit log stay in the database, after the end of their month.';

COMMENT ON COLUMN nebula.operational_profile.archive_months IS 'How long archived audit rows are kept in object storage, counted from their month; null: nothing is archived.';

COMMENT ON COLUMN nebula.operational_profile.usage_months IS 'How long usage is kept.';

COMMENT ON COLUMN nebula.operational_profile.delivery_days IS 'How long webhook attempts and finished events are kept.';

COMMENT ON COLUMN nebula.operational_profile.retry_seconds IS 'The waits before each retry; after the last of them a job is dead.';

COMMENT ON COLUMN nebula.operational_profile.webhook_failure_days IS 'A webhook that has failed for so long without a success is suspended.';

COMMENT ON COLUMN nebula.operational_profile.rpo_hours IS 'How much of the newest data may be lost, at most (backups).';

COMMENT ON COLUMN nebula.operational_profile.rto_hours IS 'How long a restore may take, at most.';

CREATE SEQUENCE nebula.outbox_position_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER TABLE nebula.outbox_position_seq OWNER TO nebula_owner;

COMMENT ON SEQUENCE nebula.outbox_position_seq IS 'The order in which events were written; never shown to anybody.';

CREATE TABLE nebula.outbox (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    tenant_id uuid,
    type text NOT NULL,
    aggregate text,
    payload jsonb NOT NULL,
    is_job boolean DEFAULT false NOT NULL,
    status text DEFAULT 'pending'::text NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    failures integer DEFAULT 0 NOT NULL,
    available_at timestamp with time zone DEFAULT now() NOT NULL,
    is_held boolean DEFAULT false NOT NULL,
    locked_by text,
    locked_until timestamp with time zone,
    last_error text,
    "position" bigint DEFAULT nextval('nebula.outbox_position_seq'::regclass) NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    finished_at timestamp with time zone,
    CONSTRAINT ck_outbox_attempts CHECK ((attempts >= 0)),
    CONSTRAINT ck_outbox_failures CHECK ((failures >= 0)),
    CONSTRAINT ck_outbox_status CHECK ((status = ANY (ARRAY['pending'::text, 'running'::text, 'done'::text, 'dead'::text])))
)
PARTITION BY LIST (status);

ALTER TABLE ONLY nebula.outbox FORCE ROW LEVEL SECURITY;

ALTER TABLE nebula.outbox OWNER TO nebula_owner;

COMMENT ON TABLE nebula.outbox IS 'Events that wait for a worker, and those that are finished. Delivered at least once; id is for consumers to deduplicate.';

COMMENT ON COLUMN nebula.outbox.tenant_id IS 'Whose event; null for the installation''s own.';

COMMENT ON COLUMN nebula.outbox.type IS 'The event''s name, such as user.created, or the work''s, such as webhook.delivery.';

COMMENT ON COLUMN nebula.outbox.aggregate IS 'What the event is about: of one tenant''s events with the same, one at a time is worked on, in the order in which they were written.';

COMMENT ON COLUMN nebula.outbox.payload IS '{"version", "data"}.';

COMMENT ON COLUMN nebula.outbox.is_job IS 'Work of the product itself, such as the delivery of an event to one webhook; false: an event.';

COMMENT ON COLUMN nebula.outbox.status IS 'pending, running (leased until locked_until), done, dead (a person must retry it).';

COMMENT ON COLUMN nebula.outbox.attempts IS 'How often it was claimed: with it a worker proves that the lease is still its own.';

COMMENT ON COLUMN nebula.outbox.failures IS 'How many attempts were reported as failed: decides the next wait, and when it is dead.';

COMMENT ON COLUMN nebula.outbox.is_held IS 'It was due and is not its turn: what is earlier about the same comes first, and makes it due when finished.';

COMMENT ON COLUMN nebula.outbox.locked_by IS 'The worker that has or had the lease.';

COMMENT ON COLUMN nebula.outbox.locked_until IS 'The end of a worker''s lease.';

COMMENT ON COLUMN nebula.outbox.last_error IS 'Why the last attempt failed, in the product''s words.';

COMMENT ON COLUMN nebula.outbox."position" IS 'The order in which events were written.';

CREATE SEQUENCE nebula.outbox_dead_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER TABLE nebula.outbox_dead_seq OWNER TO nebula_owner;

COMMENT ON SEQUENCE nebula.outbox_dead_seq IS 'Counts what died, since the installation; a transaction that was rolled back counts, too.';

CREATE TABLE nebula.outbox_finished (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    tenant_id uuid,
    type text NOT NULL,
    aggregate text,
    payload jsonb NOT NULL,
    is_job boolean DEFAULT false NOT NULL,
    status text DEFAULT 'pending'::text NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    failures integer DEFAULT 0 NOT NULL,
    available_at timestamp with time zone DEFAULT now() NOT NULL,
    is_held boolean DEFAULT false NOT NULL,
    locked_by text,
    locked_until timestamp with time zone,
    last_error text,
    "position" bigint DEFAULT nextval('nebula.outbox_position_seq'::regclass) NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    finished_at timestamp with time zone,
    CONSTRAINT ck_outbox_attempts CHECK ((attempts >= 0)),
    CONSTRAINT ck_outbox_failures CHECK ((failures >= 0)),
    CONSTRAINT ck_outbox_status CHECK ((status = ANY (ARRAY['pending'::text, 'running'::text, 'done'::text, 'dead'::text])))
)
PARTITION BY RANGE (created_at);

ALTER TABLE ONLY nebula.outbox_finished FORCE ROW LEVEL SECURITY;

ALTER TABLE nebula.outbox_finished OWNER TO nebula_owner;

COMMENT ON TABLE nebula.outbox_finished IS 'What is done, and what is dead until a person retries it.';

CREATE TABLE nebula.outbox_finished_default (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    tenant_id uuid,
    type text NOT NULL,
    aggregate text,
    payload jsonb NOT NULL,
    is_job boolean DEFAULT false NOT NULL,
    status text DEFAULT 'pending'::text NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    failures integer DEFAULT 0 NOT NULL,
    available_at timestamp with time zone DEFAULT now() NOT NULL,
    is_held boolean DEFAULT false NOT NULL,
    locked_by text,
    locked_until timestamp with time zone,
    last_error text,
    "position" bigint DEFAULT nextval('nebula.outbox_position_seq'::regclass) NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    finished_at timestamp with time zone,
    CONSTRAINT ck_outbox_attempts CHECK ((attempts >= 0)),
    CONSTRAINT ck_outbox_failures CHECK ((failures >= 0)),
    CONSTRAINT ck_outbox_status CHECK ((status = ANY (ARRAY['pending'::text, 'running'::text, 'done'::text, 'dead'::text])))
);

ALTER TABLE ONLY nebula.outbox_finished_default FORCE ROW LEVEL SECURITY;

ALTER TABLE nebula.outbox_finished_default OWNER TO nebula_owner;

COMMENT ON TABLE nebula.outbox_finished_default IS 'Events of months that no partition was made for: nothing is refused, doctor tells.';

CREATE TABLE nebula.outbox_live (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    tenant_id uuid,
    type text NOT NULL,
    aggregate text,
    payload jsonb NOT NULL,
    is_job boolean DEFAULT false NOT NULL,
    status text DEFAULT 'pending'::text NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    failures integer DEFAULT 0 NOT NULL,
    available_at timestamp with time zone DEFAULT now() NOT NULL,
    is_held boolean DEFAULT false NOT NULL,
    locked_by text,
    locked_until timestamp with time zone,
    last_error text,
    "position" bigint DEFAULT nextval('nebula.outbox_position_seq'::regclass) NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    finished_at timestamp with time zone,
    CONSTRAINT ck_outbox_attempts CHECK ((attempts >= 0)),
    CONSTRAINT ck_outbox_failures CHECK ((failures >= 0)),
    CONSTRAINT ck_outbox_status CHECK ((status = ANY (ARRAY['pending'::text, 'running'::text, 'done'::text, 'dead'::text])))
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_threshold='1000', autovacuum_vacuum_cost_delay='0');

ALTER TABLE ONLY nebula.outbox_live FORCE ROW LEVEL SECURITY;

ALTER TABLE nebula.outbox_live OWNER TO nebula_owner;

COMMENT ON TABLE nebula.outbox_live IS 'What waits or is being worked on.';

CREATE TABLE nebula.package (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    key text NOT NULL,
    name text NOT NULL,
    description text DEFAULT ''::text NOT NULL,
    status nebula.status DEFAULT 'ativo'::nebula.status NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE nebula.package OWNER TO nebula_owner;

COMMENT ON TABLE nebula.package IS 'What a tenant buys: a set of actions.';

COMMENT ON COLUMN nebula.package.key IS 'Its stable name.';

CREATE TABLE nebula.package_action (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    package_id uuid NOT NULL,
    tool_action_id uuid NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE nebula.package_action OWNER TO nebula_owner;

COMMENT ON TABLE nebula.package_action IS 'An action that a package grants to its tenants.';

CREATE TABLE nebula.permission_usage (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    tenant_id uuid NOT NULL,
    group_permission_id uuid NOT NULL,
    user_id uuid NOT NULL,
    day date NOT NULL,
    count integer DEFAULT 1 NOT NULL
);

ALTER TABLE ONLY nebula.permission_usage FORCE ROW LEVEL SECURITY;

ALTER TABLE nebula.permission_usage OWNER TO nebula_owner;

COMMENT ON TABLE nebula.permission_usage IS 'Successful calls under a grant with maxPerDay, per person and UTC day.';

CREATE TABLE nebula.protected_table (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    relation regclass NOT NULL,
    parent_id uuid,
    tenant_column text NOT NULL,
    resource text NOT NULL,
    read_action text NOT NULL,
    create_action text NOT NULL,
    update_action text NOT NULL,
    delete_action text NOT NULL,
    personal_columns text[] DEFAULT '{}'::text[] NOT NULL,
    is_audited boolean DEFAULT true NOT NULL,
    emits_events boolean DEFAULT false NOT NULL,
    touches_updated_at boolean DEFAULT false NOT NULL,
    is_complete boolean DEFAULT false NOT NULL,
    origin jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_protected_table_origin CHECK ((jsonb_typeof(origin) = 'object'::text))
);

ALTER TABLE nebula.protected_table OWNER TO nebula_owner;

COMMENT ON TABLE nebula.protected_table IS 'Tables of the application that are protected, or on the way to it; no foreign key keeps a row from outliving its table (extension/src/kernel/protected_table.rs).';

COMMENT ON COLUMN nebula.protected_table.relation IS 'The table; a partition of a protected table has a row of its own.';

COMMENT ON COLUMN nebula.protected_table.parent_id IS 'Of a partition: the protected table that it is part of.';

COMMENT ON COLUMN nebula.protected_table.tenant_column IS 'The column with the tenant''s id, as it was called; where it was renamed, the one with the foreign key to nebula.tenant counts.';

COMMENT ON COLUMN nebula.protected_table.resource IS 'The noun of its events and of the actions that were not named.';

COMMENT ON COLUMN nebula.protected_table.read_action IS 'The action that a caller must hold to see rows.';

COMMENT ON COLUMN nebula.protected_table.create_action IS 'The action that a caller must hold to insert rows.';

COMMENT ON COLUMN nebula.protected_table.update_action IS 'The action that a caller must hold to update rows.';

COMMENT ON COLUMN nebula.protected_table.delete_action IS 'The action that a caller must hold to delete rows.';

COMMENT ON COLUMN nebula.protected_table.personal_columns IS 'Columns whose values are personal or secret: not even as part of a key do they enter the audit log or an event.';

COMMENT ON COLUMN nebula.protected_table.is_audited IS 'Whether its changes are audited.';

COMMENT ON COLUMN nebula.protected_table.emits_events IS 'Whether its changes are events: <resource>.created, .updated, .deleted.';

COMMENT ON COLUMN nebula.protected_table.touches_updated_at IS 'Whether a trigger keeps the column updated_at.';

COMMENT ON COLUMN nebula.protected_table.is_complete IS 'False while protect is under way: it goes on when it is called again.';

COMMENT ON COLUMN nebula.protected_table.origin IS 'What the table was before, and what was added to it: what nebula.unprotect() gives back.';

CREATE TABLE nebula.quota_usage (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    tenant_id uuid NOT NULL,
    tool_action_id uuid NOT NULL,
    month date NOT NULL,
    count bigint DEFAULT 1 NOT NULL,
    CONSTRAINT ck_quota_usage_count CHECK ((count >= 0))
);

ALTER TABLE ONLY nebula.quota_usage FORCE ROW LEVEL SECURITY;

ALTER TABLE nebula.quota_usage OWNER TO nebula_owner;

COMMENT ON TABLE nebula.quota_usage IS 'Successful calls of an action with perMonth, per tenant and UTC month.';

COMMENT ON COLUMN nebula.quota_usage.month IS 'Its first day.';

CREATE UNLOGGED TABLE nebula.rate_limit (
    key bytea NOT NULL,
    newest bigint NOT NULL,
    counts bytea NOT NULL,
    CONSTRAINT ck_rate_limit_counts CHECK ((octet_length(counts) = 52)),
    CONSTRAINT ck_rate_limit_key CHECK ((octet_length(key) = 16))
);

ALTER TABLE nebula.rate_limit OWNER TO nebula_owner;

COMMENT ON TABLE nebula.rate_limit IS 'Requests of the last minute, by what is limited, where the shared memory is full.';

COMMENT ON COLUMN nebula.rate_limit.key IS 'A digest of the tenant and category, of the tenant''s action, or of an account or address that logs in.';

COMMENT ON COLUMN nebula.rate_limit.newest IS 'The newest slot of five seconds that was counted in, since the epoch.';

COMMENT ON COLUMN nebula.rate_limit.counts IS 'Requests by slot modulo 13, four bytes each.';

CREATE TABLE nebula.refresh_token (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    tenant_id uuid NOT NULL,
    session_id uuid NOT NULL,
    hash bytea NOT NULL,
    jti uuid NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    revoked_at timestamp with time zone,
    replaced_by uuid,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_refresh_token_hash CHECK ((octet_length(hash) = 32))
);

ALTER TABLE ONLY nebula.refresh_token FORCE ROW LEVEL SECURITY;

ALTER TABLE nebula.refresh_token OWNER TO nebula_owner;

COMMENT ON TABLE nebula.refresh_token IS 'A one-time token that continues a session.';

COMMENT ON COLUMN nebula.refresh_token.hash IS 'SHA-256 of the secret.';

COMMENT ON COLUMN nebula.refresh_token.jti IS 'The access token that was made beside it.';

COMMENT ON COLUMN nebula.refresh_token.revoked_at IS 'When it was rotated or its family ended.';

COMMENT ON COLUMN nebula.refresh_token.replaced_by IS 'Its successor; use after that, outside the retry window, is reuse.';

CREATE TABLE nebula.revoked_token (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    tenant_id uuid NOT NULL,
    jti uuid NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE ONLY nebula.revoked_token FORCE ROW LEVEL SECURITY;

ALTER TABLE nebula.revoked_token OWNER TO nebula_owner;

COMMENT ON TABLE nebula.revoked_token IS 'Access tokens that ended before they expired.';

CREATE TABLE nebula.rights_sentinel (
    is_singleton boolean DEFAULT true NOT NULL,
    CONSTRAINT ck_rights_sentinel_is_singleton CHECK (is_singleton)
);

ALTER TABLE nebula.rights_sentinel OWNER TO nebula_owner;

COMMENT ON TABLE nebula.rights_sentinel IS 'Always empty: its relcache invalidation, sent when a table that decides rights changes, clears every backend''s cache of rights.';

CREATE TABLE nebula.role_binding (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    tenant_id uuid NOT NULL,
    role_name name NOT NULL,
    api_key_id uuid NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE ONLY nebula.role_binding FORCE ROW LEVEL SECURITY;

ALTER TABLE nebula.role_binding OWNER TO nebula_owner;

COMMENT ON TABLE nebula.role_binding IS 'A login role that a DBA bound to a tenant: its SQL acts as that service account, within the key''s scope.';

COMMENT ON COLUMN nebula.role_binding.role_name IS 'The login role''s name (names survive dump and restore, oids do not).';

CREATE TABLE nebula.schema_migration (
    version integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL,
    applied_by text DEFAULT SESSION_USER NOT NULL
);

ALTER TABLE nebula.schema_migration OWNER TO nebula_owner;

COMMENT ON TABLE nebula.schema_migration IS 'The migrations that were applied, each with the SHA-256 of its text.';

COMMENT ON COLUMN nebula.schema_migration.version IS 'The number that the file starts with.';

COMMENT ON COLUMN nebula.schema_migration.name IS 'The noun in the file''s name.';

COMMENT ON COLUMN nebula.schema_migration.checksum IS 'SHA-256 of the file, hex; a library whose file differs refuses to migrate.';

COMMENT ON COLUMN nebula.schema_migration.applied_by IS 'The login that called nebula.migrate().';

CREATE TABLE nebula.sealing_key (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    version integer NOT NULL,
    fingerprint bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_sealing_key_fingerprint CHECK ((octet_length(fingerprint) = 32)),
    CONSTRAINT ck_sealing_key_version CHECK (((version >= 1) AND (version <= 65535)))
);

ALTER TABLE nebula.sealing_key OWNER TO nebula_owner;

COMMENT ON TABLE nebula.sealing_key IS 'Which key a version is, so that two machines don''t seal with different ones of the same number. No key stands here.';

COMMENT ON COLUMN nebula.sealing_key.fingerprint IS 'HMAC-SHA256 of a fixed text under the key: tells it apart and nothing about it.';

CREATE TABLE nebula.seed_history (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    name text NOT NULL,
    tenant_id uuid,
    checksum text NOT NULL,
    changed integer NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL,
    applied_by text DEFAULT SESSION_USER NOT NULL,
    CONSTRAINT ck_seed_history_changed CHECK ((changed >= 0))
);

ALTER TABLE ONLY nebula.seed_history FORCE ROW LEVEL SECURITY;

ALTER TABLE nebula.seed_history OWNER TO nebula_owner;

COMMENT ON TABLE nebula.seed_history IS 'Which seeds ran, when, and how many rows they changed.';

COMMENT ON COLUMN nebula.seed_history.tenant_id IS 'The tenant of a tenant seed; null for the global catalog.';

COMMENT ON COLUMN nebula.seed_history.checksum IS 'SHA-256 of the seed''s text, hex.';

COMMENT ON COLUMN nebula.seed_history.changed IS 'How many rows the run changed.';

CREATE TABLE nebula.session (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    tenant_id uuid NOT NULL,
    user_id uuid NOT NULL,
    ip inet,
    user_agent text,
    last_used_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    revoked_at timestamp with time zone,
    revoked_reason text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_session_revoked_reason CHECK ((revoked_reason = ANY (ARRAY['logout'::text, 'reuse'::text, 'password'::text, 'user'::text, 'admin'::text])))
);

ALTER TABLE ONLY nebula.session FORCE ROW LEVEL SECURITY;

ALTER TABLE nebula.session OWNER TO nebula_owner;

COMMENT ON TABLE nebula.session IS 'A login: a family of refresh tokens and of the access tokens that were made with them.';

COMMENT ON COLUMN nebula.session.ip IS 'Personal. Where the login came from.';

COMMENT ON COLUMN nebula.session.user_agent IS 'Personal.';

COMMENT ON COLUMN nebula.session.revoked_at IS 'From then on neither its refresh tokens nor its access tokens count.';

COMMENT ON COLUMN nebula.session.revoked_reason IS 'logout, reuse (of a rotated refresh token), password (changed), user (suspended), admin.';

CREATE TABLE nebula.signing_key (
    kid text NOT NULL,
    alg text DEFAULT 'RS256'::text NOT NULL,
    public_key bytea NOT NULL,
    status text DEFAULT 'active'::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_signing_key_alg CHECK ((alg = 'RS256'::text)),
    CONSTRAINT ck_signing_key_kid CHECK (((length(kid) >= 1) AND (length(kid) <= 128))),
    CONSTRAINT ck_signing_key_status CHECK ((status = ANY (ARRAY['active'::text, 'retiring'::text, 'revoked'::text])))
);

ALTER TABLE nebula.signing_key OWNER TO nebula_owner;

COMMENT ON TABLE nebula.signing_key IS 'Public keys that access tokens are verified with. Only a DBA registers them: the edge''s login can''t.';

COMMENT ON COLUMN nebula.signing_key.public_key IS 'DER SubjectPublicKeyInfo, RSA of at least 2048 bits.';

COMMENT ON COLUMN nebula.signing_key.status IS 'active (signs and verifies), retiring (verifies what it signed), revoked (nothing).';

CREATE TABLE nebula.task (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    name text NOT NULL,
    due_at timestamp with time zone DEFAULT now() NOT NULL,
    locked_by text,
    locked_until timestamp with time zone,
    last_error text,
    finished_at timestamp with time zone
);

ALTER TABLE nebula.task OWNER TO nebula_owner;

COMMENT ON TABLE nebula.task IS 'Periodic work: one worker at a time does it.';

COMMENT ON COLUMN nebula.task.locked_by IS 'The worker that does it.';

COMMENT ON COLUMN nebula.task.locked_until IS 'The end of its lease.';

COMMENT ON COLUMN nebula.task.last_error IS 'Why it failed the last time; null where it did not.';

CREATE TABLE nebula.tenant (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    slug text NOT NULL,
    name text NOT NULL,
    kind text DEFAULT 'customer'::text NOT NULL,
    status nebula.status DEFAULT 'ativo'::nebula.status NOT NULL,
    suspended_reason text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_tenant_kind CHECK ((kind = ANY (ARRAY['platform'::text, 'customer'::text]))),
    CONSTRAINT ck_tenant_name CHECK (((length(name) >= 1) AND (length(name) <= 200))),
    CONSTRAINT ck_tenant_platform_active CHECK (((kind <> 'platform'::text) OR (status = 'ativo'::nebula.status))),
    CONSTRAINT ck_tenant_slug CHECK (((slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'::text) AND ((length(slug) >= 2) AND (length(slug) <= 63)))),
    CONSTRAINT ck_tenant_suspended_reason CHECK (((status = 'suspenso'::nebula.status) OR (suspended_reason IS NULL)))
);

ALTER TABLE ONLY nebula.tenant FORCE ROW LEVEL SECURITY;

ALTER TABLE nebula.tenant OWNER TO nebula_owner;

COMMENT ON TABLE nebula.tenant IS 'A company that uses the platform, or the platform''s own operators.';

COMMENT ON COLUMN nebula.tenant.slug IS 'What the tenant is called at login and in URLs; a DNS label.';

COMMENT ON COLUMN nebula.tenant.kind IS 'platform (the operators; exactly one) or customer.';

COMMENT ON COLUMN nebula.tenant.status IS 'suspenso: all its people and keys are refused from the next statement on.';

COMMENT ON COLUMN nebula.tenant.suspended_reason IS 'Why a person suspended it.';

CREATE TABLE nebula.tenant_branding (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    tenant_id uuid NOT NULL,
    logo_url text,
    primary_color text,
    secondary_color text,
    domain text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_tenant_branding_primary_color CHECK ((primary_color ~ '^#[0-9a-f]{6}$'::text)),
    CONSTRAINT ck_tenant_branding_secondary_color CHECK ((secondary_color ~ '^#[0-9a-f]{6}$'::text))
);

ALTER TABLE ONLY nebula.tenant_branding FORCE ROW LEVEL SECURITY;

ALTER TABLE nebula.tenant_branding OWNER TO nebula_owner;

COMMENT ON TABLE nebula.tenant_branding IS 'How a tenant''s tools look.';

COMMENT ON COLUMN nebula.tenant_branding.logo_url IS 'An https URL.';

COMMENT ON COLUMN nebula.tenant_branding.primary_color IS '#rrggbb.';

COMMENT ON COLUMN nebula.tenant_branding.secondary_color IS '#rrggbb.';

COMMENT ON COLUMN nebula.tenant_branding.domain IS 'The host name under which the tenant''s people work; not proven to be theirs.';

CREATE TABLE nebula.tenant_config (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    tenant_id uuid NOT NULL,
    flags jsonb DEFAULT '{}'::jsonb NOT NULL,
    limits jsonb DEFAULT '{}'::jsonb NOT NULL,
    profile text DEFAULT 'mvp'::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_tenant_config_flags CHECK ((jsonb_typeof(flags) = 'object'::text)),
    CONSTRAINT ck_tenant_config_limits CHECK (((jsonb_typeof(limits) = 'object'::text) AND ((limits - ARRAY['auth'::text, 'read'::text, 'write'::text, 'admin'::text]) = '{}'::jsonb))),
    CONSTRAINT ck_tenant_config_profile CHECK ((profile = ANY (ARRAY['mvp'::text, 'standard'::text, 'enterprise'::text])))
);

ALTER TABLE ONLY nebula.tenant_config FORCE ROW LEVEL SECURITY;

ALTER TABLE nebula.tenant_config OWNER TO nebula_owner;

COMMENT ON TABLE nebula.tenant_config IS 'A tenant''s settings; without a row the defaults count.';

COMMENT ON COLUMN nebula.tenant_config.flags IS 'The tenant''s own switches: {"name": true|false}.';

COMMENT ON COLUMN nebula.tenant_config.limits IS '{"auth"|"read"|"write"|"admin": {"perMinute": n}}: instead of the installation''s defaults. Set by the platform.';

COMMENT ON COLUMN nebula.tenant_config.profile IS 'The operational profile: mvp, standard or enterprise. Set by the platform.';

CREATE TABLE nebula.tenant_package (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    tenant_id uuid NOT NULL,
    package_id uuid NOT NULL,
    status nebula.status DEFAULT 'ativo'::nebula.status NOT NULL,
    assigned_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE ONLY nebula.tenant_package FORCE ROW LEVEL SECURITY;

ALTER TABLE nebula.tenant_package OWNER TO nebula_owner;

COMMENT ON TABLE nebula.tenant_package IS 'A package that a tenant has.';

COMMENT ON COLUMN nebula.tenant_package.expires_at IS 'From this instant on it counts no more; null: never.';

CREATE TABLE nebula.tenant_tool_override (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    tenant_id uuid NOT NULL,
    tool_id uuid,
    tool_action_id uuid,
    flags jsonb DEFAULT '{}'::jsonb NOT NULL,
    limits jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_tenant_tool_override_flags CHECK (((jsonb_typeof(flags) = 'object'::text) AND ((flags - 'enabled'::text) = '{}'::jsonb) AND (COALESCE(jsonb_typeof((flags -> 'enabled'::text)), 'boolean'::text) = 'boolean'::text))),
    CONSTRAINT ck_tenant_tool_override_limits CHECK (((jsonb_typeof(limits) = 'object'::text) AND (((limits - 'perMinute'::text) - 'perMonth'::text) = '{}'::jsonb) AND ((tool_action_id IS NOT NULL) OR (limits = '{}'::jsonb)))),
    CONSTRAINT ck_tenant_tool_override_target CHECK ((num_nonnulls(tool_id, tool_action_id) = 1))
);

ALTER TABLE ONLY nebula.tenant_tool_override FORCE ROW LEVEL SECURITY;

ALTER TABLE nebula.tenant_tool_override OWNER TO nebula_owner;

COMMENT ON TABLE nebula.tenant_tool_override IS 'An exception for one tenant: a tool or an action switched on or off, or limited.';

COMMENT ON COLUMN nebula.tenant_tool_override.flags IS '{"enabled": true|false}: false wins over packages, true replaces them.';

COMMENT ON COLUMN nebula.tenant_tool_override.limits IS '{"perMinute": n, "perMonth": n}, of an action.';

CREATE TABLE nebula.tool (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    key text NOT NULL,
    name text NOT NULL,
    description text DEFAULT ''::text NOT NULL,
    status nebula.status DEFAULT 'ativo'::nebula.status NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE nebula.tool OWNER TO nebula_owner;

COMMENT ON TABLE nebula.tool IS 'A tool that the company sells; it has actions.';

COMMENT ON COLUMN nebula.tool.key IS 'Its stable name.';

CREATE TABLE nebula.tool_action (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    tool_id uuid NOT NULL,
    key text NOT NULL,
    name text NOT NULL,
    description text DEFAULT ''::text NOT NULL,
    kind text NOT NULL,
    status nebula.status DEFAULT 'ativo'::nebula.status NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_tool_action_kind CHECK ((kind = ANY (ARRAY['read'::text, 'write'::text, 'admin'::text])))
);

ALTER TABLE nebula.tool_action OWNER TO nebula_owner;

COMMENT ON TABLE nebula.tool_action IS 'Something that can be done with a tool: the unit of permission, audit, usage and sale.';

COMMENT ON COLUMN nebula.tool_action.key IS 'Its stable name, `noun.verb`: permission, audit action, meter and operation id.';

COMMENT ON COLUMN nebula.tool_action.kind IS 'read, write or admin: what a key''s profile covers.';

CREATE TABLE nebula.usage_metrics (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    tenant_id uuid NOT NULL,
    tool_action_id uuid NOT NULL,
    period_start timestamp with time zone NOT NULL,
    period_end timestamp with time zone NOT NULL,
    count bigint NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_usage_metrics_count CHECK ((count > 0)),
    CONSTRAINT ck_usage_metrics_period CHECK ((period_end = (period_start + '01:00:00'::interval)))
)
PARTITION BY RANGE (period_start);

ALTER TABLE ONLY nebula.usage_metrics FORCE ROW LEVEL SECURITY;

ALTER TABLE nebula.usage_metrics OWNER TO nebula_owner;

COMMENT ON TABLE nebula.usage_metrics IS 'Successful calls per tenant, action and hour.';

COMMENT ON COLUMN nebula.usage_metrics.period_start IS 'The hour''s start, UTC.';

COMMENT ON COLUMN nebula.usage_metrics.period_end IS 'The hour''s end, which belongs to the next.';

COMMENT ON COLUMN nebula.usage_metrics.count IS 'Up to a flush interval late.';

CREATE TABLE nebula.usage_metrics_default (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    tenant_id uuid NOT NULL,
    tool_action_id uuid NOT NULL,
    period_start timestamp with time zone NOT NULL,
    period_end timestamp with time zone NOT NULL,
    count bigint NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_usage_metrics_count CHECK ((count > 0)),
    CONSTRAINT ck_usage_metrics_period CHECK ((period_end = (period_start + '01:00:00'::interval)))
);

ALTER TABLE ONLY nebula.usage_metrics_default FORCE ROW LEVEL SECURITY;

ALTER TABLE nebula.usage_metrics_default OWNER TO nebula_owner;

COMMENT ON TABLE nebula.usage_metrics_default IS 'Hours of months that no partition was made for: nothing is refused, doctor tells.';

CREATE TABLE nebula."user" (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    tenant_id uuid NOT NULL,
    email text NOT NULL,
    name text NOT NULL,
    status nebula.status DEFAULT 'ativo'::nebula.status NOT NULL,
    auth_provider text DEFAULT 'internal'::text NOT NULL,
    external_id text,
    suspended_reason text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    deleted_at timestamp with time zone,
    CONSTRAINT ck_user_email CHECK (((length(email) >= 3) AND (length(email) <= 254))),
    CONSTRAINT ck_user_name CHECK (((length(name) >= 1) AND (length(name) <= 200))),
    CONSTRAINT ck_user_suspended_reason CHECK (((status = 'suspenso'::nebula.status) OR (suspended_reason IS NULL)))
);

ALTER TABLE ONLY nebula."user" FORCE ROW LEVEL SECURITY;

ALTER TABLE nebula."user" OWNER TO nebula_owner;

COMMENT ON TABLE nebula."user" IS 'A person of one tenant.';

COMMENT ON COLUMN nebula."user".email IS 'Personal. Unique per tenant, case-insensitive.';

COMMENT ON COLUMN nebula."user".name IS 'Personal.';

COMMENT ON COLUMN nebula."user".auth_provider IS 'internal, or the issuer that this person logs in with.';

COMMENT ON COLUMN nebula."user".external_id IS 'The subject at that issuer.';

COMMENT ON COLUMN nebula."user".deleted_at IS 'When the person was anonymised.';

CREATE TABLE nebula.user_group (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    tenant_id uuid NOT NULL,
    user_id uuid NOT NULL,
    group_id uuid NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE ONLY nebula.user_group FORCE ROW LEVEL SECURITY;

ALTER TABLE nebula.user_group OWNER TO nebula_owner;

COMMENT ON TABLE nebula.user_group IS 'A person''s membership of a group.';

CREATE TABLE nebula.user_secret (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    tenant_id uuid NOT NULL,
    user_id uuid NOT NULL,
    salt bytea NOT NULL,
    memory_kib integer NOT NULL,
    iterations integer NOT NULL,
    parallelism integer NOT NULL,
    key_hash bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_user_secret_key_hash CHECK ((octet_length(key_hash) = 32)),
    CONSTRAINT ck_user_secret_salt CHECK ((octet_length(salt) = 16))
);

ALTER TABLE ONLY nebula.user_secret FORCE ROW LEVEL SECURITY;

ALTER TABLE nebula.user_secret OWNER TO nebula_owner;

COMMENT ON TABLE nebula.user_secret IS 'How a person''s password is checked, apart from the person.';

COMMENT ON COLUMN nebula.user_secret.salt IS 'Argon2id salt.';

COMMENT ON COLUMN nebula.user_secret.memory_kib IS 'Argon2id memory, KiB.';

COMMENT ON COLUMN nebula.user_secret.iterations IS 'Argon2id passes.';

COMMENT ON COLUMN nebula.user_secret.parallelism IS 'Argon2id lanes.';

COMMENT ON COLUMN nebula.user_secret.key_hash IS 'SHA-256 of the key that Argon2id derives: what is stored opens nothing.';

CREATE TABLE nebula.webhook_delivery (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    tenant_id uuid NOT NULL,
    webhook_subscription_id uuid NOT NULL,
    event_id uuid NOT NULL,
    event_type text NOT NULL,
    attempt integer NOT NULL,
    status_code integer,
    latency_ms integer,
    error text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_webhook_delivery_attempt CHECK ((attempt > 0)),
    CONSTRAINT ck_webhook_delivery_latency_ms CHECK ((latency_ms >= 0))
)
PARTITION BY RANGE (created_at);

ALTER TABLE ONLY nebula.webhook_delivery FORCE ROW LEVEL SECURITY;

ALTER TABLE nebula.webhook_delivery OWNER TO nebula_owner;

COMMENT ON TABLE nebula.webhook_delivery IS 'One row per attempt to tell an address of an event. No foreign keys: it outlives the subscription.';

COMMENT ON COLUMN nebula.webhook_delivery.webhook_subscription_id IS 'The subscription, which may be gone.';

COMMENT ON COLUMN nebula.webhook_delivery.event_id IS 'The event''s id in the outbox, the same at every attempt: what consumers deduplicate by.';

COMMENT ON COLUMN nebula.webhook_delivery.event_type IS 'The event''s name, such as user.created.';

COMMENT ON COLUMN nebula.webhook_delivery.attempt IS 'Of telling this address of this event, from 1.';

COMMENT ON COLUMN nebula.webhook_delivery.status_code IS 'What the receiver answered; null where it did not.';

COMMENT ON COLUMN nebula.webhook_delivery.latency_ms IS 'From the attempt to the answer, milliseconds.';

COMMENT ON COLUMN nebula.webhook_delivery.error IS 'Why it is no success, in the product''s words; null where it is one.';

CREATE TABLE nebula.webhook_delivery_default (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    tenant_id uuid NOT NULL,
    webhook_subscription_id uuid NOT NULL,
    event_id uuid NOT NULL,
    event_type text NOT NULL,
    attempt integer NOT NULL,
    status_code integer,
    latency_ms integer,
    error text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_webhook_delivery_attempt CHECK ((attempt > 0)),
    CONSTRAINT ck_webhook_delivery_latency_ms CHECK ((latency_ms >= 0))
);

ALTER TABLE ONLY nebula.webhook_delivery_default FORCE ROW LEVEL SECURITY;

ALTER TABLE nebula.webhook_delivery_default OWNER TO nebula_owner;

COMMENT ON TABLE nebula.webhook_delivery_default IS 'Attempts of months that no partition was made for: nothing is refused, doctor tells.';

CREATE TABLE nebula.webhook_subscription (
    id uuid DEFAULT nebula.uuid_v7() NOT NULL,
    tenant_id uuid NOT NULL,
    url text NOT NULL,
    description text DEFAULT ''::text NOT NULL,
    events text[] NOT NULL,
    secret_sealed bytea NOT NULL,
    secret_key_version integer NOT NULL,
    previous_secret_sealed bytea,
    previous_secret_key_version integer,
    previous_secret_expires_at timestamp with time zone,
    status nebula.status DEFAULT 'ativo'::nebula.status NOT NULL,
    suspended_reason text,
    failing_since timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ck_webhook_subscription_events CHECK (((cardinality(events) >= 1) AND (cardinality(events) <= 100))),
    CONSTRAINT ck_webhook_subscription_previous CHECK ((num_nonnulls(previous_secret_sealed, previous_secret_key_version, previous_secret_expires_at) = ANY (ARRAY[0, 3]))),
    CONSTRAINT ck_webhook_subscription_suspended_reason CHECK (((status = 'suspenso'::nebula.status) OR (suspended_reason IS NULL)))
);

ALTER TABLE ONLY nebula.webhook_subscription FORCE ROW LEVEL SECURITY;

ALTER TABLE nebula.webhook_subscription OWNER TO nebula_owner;

COMMENT ON TABLE nebula.webhook_subscription IS 'An address of a tenant that is told of events.';

COMMENT ON COLUMN nebula.webhook_subscription.url IS 'An https URL of the public network; of this machine where nebula.allow_loopback_webhooks allowed it.';

COMMENT ON COLUMN nebula.webhook_subscription.events IS 'Event types; * for all.';

COMMENT ON COLUMN nebula.webhook_subscription.secret_sealed IS 'Sealed by the edge, bound to tenant and row; the database has no key to it.';

COMMENT ON COLUMN nebula.webhook_subscription.secret_key_version IS 'Which of the edge''s keys sealed it.';

COMMENT ON COLUMN nebula.webhook_subscription.previous_secret_sealed IS 'The secret before the last rotation: both sign until previous_secret_expires_at.';

COMMENT ON COLUMN nebula.webhook_subscription.previous_secret_key_version IS 'Which of the edge''s keys sealed that.';

COMMENT ON COLUMN nebula.webhook_subscription.status IS 'suspenso: by a person, or after days of failure; nothing is sent.';

COMMENT ON COLUMN nebula.webhook_subscription.failing_since IS 'The first failed attempt since the last success; null while it works.';

ALTER TABLE ONLY nebula.audit_log ATTACH PARTITION nebula.audit_log_default DEFAULT;

ALTER TABLE ONLY nebula.outbox ATTACH PARTITION nebula.outbox_finished FOR VALUES IN ('done', 'dead');

ALTER TABLE ONLY nebula.outbox_finished ATTACH PARTITION nebula.outbox_finished_default DEFAULT;

ALTER TABLE ONLY nebula.outbox ATTACH PARTITION nebula.outbox_live FOR VALUES IN ('pending', 'running');

ALTER TABLE ONLY nebula.usage_metrics ATTACH PARTITION nebula.usage_metrics_default DEFAULT;

ALTER TABLE ONLY nebula.webhook_delivery ATTACH PARTITION nebula.webhook_delivery_default DEFAULT;

ALTER TABLE ONLY nebula.audit_log
    ADD CONSTRAINT pk_audit_log PRIMARY KEY (tenant_id, created_at, id);

ALTER TABLE ONLY nebula.audit_log_default
    ADD CONSTRAINT audit_log_default_pkey PRIMARY KEY (tenant_id, created_at, id);

ALTER TABLE ONLY nebula.api_key
    ADD CONSTRAINT pk_api_key PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY nebula.api_key_action
    ADD CONSTRAINT pk_api_key_action PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY nebula.archive
    ADD CONSTRAINT pk_archive PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY nebula.audit_block
    ADD CONSTRAINT pk_audit_block PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY nebula.audit_erasure
    ADD CONSTRAINT pk_audit_erasure PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY nebula.audit_key
    ADD CONSTRAINT pk_audit_key PRIMARY KEY (id);

ALTER TABLE ONLY nebula.audit_segment
    ADD CONSTRAINT pk_audit_segment PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY nebula.audit_watermark
    ADD CONSTRAINT pk_audit_watermark PRIMARY KEY (id);

ALTER TABLE ONLY nebula.delivery_place
    ADD CONSTRAINT pk_delivery_place PRIMARY KEY (id);

ALTER TABLE ONLY nebula.export_job
    ADD CONSTRAINT pk_export_job PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY nebula.gathered_usage
    ADD CONSTRAINT pk_gathered_usage PRIMARY KEY (id);

ALTER TABLE ONLY nebula."group"
    ADD CONSTRAINT pk_group PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY nebula.group_permission
    ADD CONSTRAINT pk_group_permission PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY nebula.idempotency_key
    ADD CONSTRAINT pk_idempotency_key PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY nebula.installation
    ADD CONSTRAINT pk_installation PRIMARY KEY (id);

ALTER TABLE ONLY nebula.integration_credential
    ADD CONSTRAINT pk_integration_credential PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY nebula.invite
    ADD CONSTRAINT pk_invite PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY nebula.issuer
    ADD CONSTRAINT pk_issuer PRIMARY KEY (id);

ALTER TABLE ONLY nebula.issuer_key
    ADD CONSTRAINT pk_issuer_key PRIMARY KEY (id);

ALTER TABLE ONLY nebula.login_failure
    ADD CONSTRAINT pk_login_failure PRIMARY KEY (key);

ALTER TABLE ONLY nebula.operation
    ADD CONSTRAINT pk_operation PRIMARY KEY (id);

ALTER TABLE ONLY nebula.operation_version
    ADD CONSTRAINT pk_operation_version PRIMARY KEY (id);

ALTER TABLE ONLY nebula.operational_profile
    ADD CONSTRAINT pk_operational_profile PRIMARY KEY (id);

ALTER TABLE ONLY nebula.outbox_live
    ADD CONSTRAINT pk_outbox_live PRIMARY KEY (id);

ALTER TABLE ONLY nebula.package
    ADD CONSTRAINT pk_package PRIMARY KEY (id);

ALTER TABLE ONLY nebula.package_action
    ADD CONSTRAINT pk_package_action PRIMARY KEY (id);

ALTER TABLE ONLY nebula.permission_usage
    ADD CONSTRAINT pk_permission_usage PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY nebula.protected_table
    ADD CONSTRAINT pk_protected_table PRIMARY KEY (id);

ALTER TABLE ONLY nebula.quota_usage
    ADD CONSTRAINT pk_quota_usage PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY nebula.rate_limit
    ADD CONSTRAINT pk_rate_limit PRIMARY KEY (key);

ALTER TABLE ONLY nebula.refresh_token
    ADD CONSTRAINT pk_refresh_token PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY nebula.revoked_token
    ADD CONSTRAINT pk_revoked_token PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY nebula.rights_sentinel
    ADD CONSTRAINT pk_rights_sentinel PRIMARY KEY (is_singleton);

ALTER TABLE ONLY nebula.role_binding
    ADD CONSTRAINT pk_role_binding PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY nebula.schema_migration
    ADD CONSTRAINT pk_schema_migration PRIMARY KEY (version);

ALTER TABLE ONLY nebula.sealing_key
    ADD CONSTRAINT pk_sealing_key PRIMARY KEY (id);

ALTER TABLE ONLY nebula.seed_history
    ADD CONSTRAINT pk_seed_history PRIMARY KEY (id);

ALTER TABLE ONLY nebula.session
    ADD CONSTRAINT pk_session PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY nebula.signing_key
    ADD CONSTRAINT pk_signing_key PRIMARY KEY (kid);

ALTER TABLE ONLY nebula.task
    ADD CONSTRAINT pk_task PRIMARY KEY (id);

ALTER TABLE ONLY nebula.tenant
    ADD CONSTRAINT pk_tenant PRIMARY KEY (id);

ALTER TABLE ONLY nebula.tenant_branding
    ADD CONSTRAINT pk_tenant_branding PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY nebula.tenant_config
    ADD CONSTRAINT pk_tenant_config PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY nebula.tenant_package
    ADD CONSTRAINT pk_tenant_package PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY nebula.tenant_tool_override
    ADD CONSTRAINT pk_tenant_tool_override PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY nebula.tool
    ADD CONSTRAINT pk_tool PRIMARY KEY (id);

ALTER TABLE ONLY nebula.tool_action
    ADD CONSTRAINT pk_tool_action PRIMARY KEY (id);

ALTER TABLE ONLY nebula.usage_metrics
    ADD CONSTRAINT pk_usage_metrics PRIMARY KEY (tenant_id, period_start, tool_action_id);

ALTER TABLE ONLY nebula."user"
    ADD CONSTRAINT pk_user PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY nebula.user_group
    ADD CONSTRAINT pk_user_group PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY nebula.user_secret
    ADD CONSTRAINT pk_user_secret PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY nebula.webhook_delivery
    ADD CONSTRAINT pk_webhook_delivery PRIMARY KEY (tenant_id, created_at, id);

ALTER TABLE ONLY nebula.webhook_subscription
    ADD CONSTRAINT pk_webhook_subscription PRIMARY KEY (tenant_id, id);

ALTER TABLE ONLY nebula.api_key_action
    ADD CONSTRAINT uq_api_key_action_tenant_id_api_key_id_tool_action_id UNIQUE (tenant_id, api_key_id, tool_action_id);

ALTER TABLE ONLY nebula.api_key
    ADD CONSTRAINT uq_api_key_tenant_id_name UNIQUE (tenant_id, name);

ALTER TABLE ONLY nebula.archive
    ADD CONSTRAINT uq_archive_tenant_id_source_month UNIQUE (tenant_id, source, month);

ALTER TABLE ONLY nebula.audit_block
    ADD CONSTRAINT uq_audit_block_tenant_id_month_number UNIQUE (tenant_id, month, number);

ALTER TABLE ONLY nebula.audit_key
    ADD CONSTRAINT uq_audit_key_version UNIQUE (version);

ALTER TABLE ONLY nebula.audit_segment
    ADD CONSTRAINT uq_audit_segment_tenant_id_month UNIQUE (tenant_id, month);

ALTER TABLE ONLY nebula.audit_segment
    ADD CONSTRAINT uq_audit_segment_tenant_id_number UNIQUE (tenant_id, number);

ALTER TABLE ONLY nebula.audit_watermark
    ADD CONSTRAINT uq_audit_watermark_is_singleton UNIQUE (is_singleton);

ALTER TABLE ONLY nebula.delivery_place
    ADD CONSTRAINT uq_delivery_place_fingerprint UNIQUE (fingerprint);

ALTER TABLE ONLY nebula.group_permission
    ADD CONSTRAINT uq_group_permission_tenant_id_group_id_tool_action_id UNIQUE (tenant_id, group_id, tool_action_id);

ALTER TABLE ONLY nebula."group"
    ADD CONSTRAINT uq_group_tenant_id_name UNIQUE (tenant_id, name);

ALTER TABLE ONLY nebula.idempotency_key
    ADD CONSTRAINT uq_idempotency_key_tenant_id_key_handler UNIQUE (tenant_id, key, handler);

ALTER TABLE ONLY nebula.installation
    ADD CONSTRAINT uq_installation_is_singleton UNIQUE (is_singleton);

ALTER TABLE ONLY nebula.integration_credential
    ADD CONSTRAINT uq_integration_credential_tenant_id_provider_name UNIQUE (tenant_id, provider, name);

ALTER TABLE ONLY nebula.issuer
    ADD CONSTRAINT uq_issuer_issuer UNIQUE (issuer);

ALTER TABLE ONLY nebula.issuer_key
    ADD CONSTRAINT uq_issuer_key_issuer_id_kid UNIQUE (issuer_id, kid);

ALTER TABLE ONLY nebula.operation_version
    ADD CONSTRAINT uq_operation_version_operation_id_version UNIQUE (operation_id, version);

ALTER TABLE ONLY nebula.operational_profile
    ADD CONSTRAINT uq_operational_profile_key UNIQUE (key);

ALTER TABLE ONLY nebula.package_action
    ADD CONSTRAINT uq_package_action_package_id_tool_action_id UNIQUE (package_id, tool_action_id);

ALTER TABLE ONLY nebula.package
    ADD CONSTRAINT uq_package_key UNIQUE (key);

ALTER TABLE ONLY nebula.permission_usage
    ADD CONSTRAINT uq_permission_usage_tenant_id_group_permission_id_user_id_day UNIQUE (tenant_id, group_permission_id, user_id, day);

ALTER TABLE ONLY nebula.protected_table
    ADD CONSTRAINT uq_protected_table_relation UNIQUE (relation);

ALTER TABLE ONLY nebula.quota_usage
    ADD CONSTRAINT uq_quota_usage_tenant_id_tool_action_id_month UNIQUE (tenant_id, tool_action_id, month);

ALTER TABLE ONLY nebula.revoked_token
    ADD CONSTRAINT uq_revoked_token_tenant_id_jti UNIQUE (tenant_id, jti);

ALTER TABLE ONLY nebula.role_binding
    ADD CONSTRAINT uq_role_binding_tenant_id_role_name UNIQUE (tenant_id, role_name);

ALTER TABLE ONLY nebula.sealing_key
    ADD CONSTRAINT uq_sealing_key_version UNIQUE (version);

ALTER TABLE ONLY nebula.task
    ADD CONSTRAINT uq_task_name UNIQUE (name);

ALTER TABLE ONLY nebula.tenant_branding
    ADD CONSTRAINT uq_tenant_branding_tenant_id UNIQUE (tenant_id);

ALTER TABLE ONLY nebula.tenant_config
    ADD CONSTRAINT uq_tenant_config_tenant_id UNIQUE (tenant_id);

ALTER TABLE ONLY nebula.tenant_package
    ADD CONSTRAINT uq_tenant_package_tenant_id_package_id UNIQUE (tenant_id, package_id);

ALTER TABLE ONLY nebula.tenant
    ADD CONSTRAINT uq_tenant_slug UNIQUE (slug);

ALTER TABLE ONLY nebula.tenant_tool_override
    ADD CONSTRAINT uq_tenant_tool_override_tenant_id_tool_action_id UNIQUE (tenant_id, tool_action_id);

ALTER TABLE ONLY nebula.tenant_tool_override
    ADD CONSTRAINT uq_tenant_tool_override_tenant_id_tool_id UNIQUE (tenant_id, tool_id);

ALTER TABLE ONLY nebula.tool_action
    ADD CONSTRAINT uq_tool_action_key UNIQUE (key);

ALTER TABLE ONLY nebula.tool
    ADD CONSTRAINT uq_tool_key UNIQUE (key);

ALTER TABLE ONLY nebula.user_group
    ADD CONSTRAINT uq_user_group_tenant_id_user_id_group_id UNIQUE (tenant_id, user_id, group_id);

ALTER TABLE ONLY nebula.user_secret
    ADD CONSTRAINT uq_user_secret_tenant_id_user_id UNIQUE (tenant_id, user_id);

ALTER TABLE ONLY nebula.usage_metrics_default
    ADD CONSTRAINT usage_metrics_default_pkey PRIMARY KEY (tenant_id, period_start, tool_action_id);

ALTER TABLE ONLY nebula.webhook_delivery_default
    ADD CONSTRAINT webhook_delivery_default_pkey PRIMARY KEY (tenant_id, created_at, id);

CREATE INDEX idx_api_key_action_tool_action_id ON nebula.api_key_action USING btree (tenant_id, tool_action_id);

CREATE INDEX idx_api_key_created_at ON nebula.api_key USING btree (tenant_id, created_at, id);

CREATE INDEX idx_api_key_name ON nebula.api_key USING btree (tenant_id, name, id);

CREATE INDEX idx_api_key_updated_at ON nebula.api_key USING btree (tenant_id, updated_at, id);

CREATE INDEX idx_audit_block_last_created_at ON nebula.audit_block USING btree (tenant_id, last_created_at);

CREATE INDEX idx_audit_erasure_unsealed ON nebula.audit_erasure USING btree (tenant_id) WHERE (mac IS NULL);

CREATE INDEX idx_export_job_created_at ON nebula.export_job USING btree (tenant_id, created_at, id);

CREATE INDEX idx_export_job_requested_by_api_key_id ON nebula.export_job USING btree (tenant_id, requested_by_api_key_id);

CREATE INDEX idx_export_job_requested_by_user_id ON nebula.export_job USING btree (tenant_id, requested_by_user_id);

CREATE INDEX idx_group_created_at ON nebula."group" USING btree (tenant_id, created_at, id);

CREATE INDEX idx_group_name ON nebula."group" USING btree (tenant_id, name, id);

CREATE INDEX idx_group_permission_tool_action_id ON nebula.group_permission USING btree (tenant_id, tool_action_id);

CREATE INDEX idx_group_updated_at ON nebula."group" USING btree (tenant_id, updated_at, id);

CREATE INDEX idx_integration_credential_created_at ON nebula.integration_credential USING btree (tenant_id, created_at, id);

CREATE INDEX idx_invite_made_by_api_key_id ON nebula.invite USING btree (tenant_id, made_by_api_key_id);

CREATE INDEX idx_invite_made_by_user_id ON nebula.invite USING btree (tenant_id, made_by_user_id);

CREATE INDEX idx_invite_user_id ON nebula.invite USING btree (tenant_id, user_id);

CREATE INDEX idx_login_failure_last_failed_at ON nebula.login_failure USING btree (last_failed_at);

CREATE INDEX idx_outbox_created_at ON ONLY nebula.outbox USING btree (tenant_id, created_at, id);

CREATE INDEX idx_outbox_finished_id ON ONLY nebula.outbox_finished USING btree (tenant_id, id);

CREATE INDEX idx_outbox_live_aggregate ON nebula.outbox_live USING btree (tenant_id, aggregate, "position") WHERE (aggregate IS NOT NULL);

CREATE INDEX idx_outbox_live_event ON nebula.outbox_live USING btree (tenant_id, available_at, "position") WHERE (NOT is_job);

CREATE INDEX idx_outbox_live_job ON nebula.outbox_live USING btree (tenant_id, available_at, "position") WHERE is_job;

CREATE INDEX idx_package_action_tool_action_id ON nebula.package_action USING btree (tool_action_id);

CREATE INDEX idx_package_created_at ON nebula.package USING btree (created_at, id);

CREATE INDEX idx_package_key ON nebula.package USING btree (key, id);

CREATE INDEX idx_package_name ON nebula.package USING btree (name, id);

CREATE INDEX idx_permission_usage_user_id ON nebula.permission_usage USING btree (tenant_id, user_id);

CREATE INDEX idx_protected_table_parent_id ON nebula.protected_table USING btree (parent_id);

CREATE INDEX idx_rate_limit_newest ON nebula.rate_limit USING btree (newest);

CREATE INDEX idx_refresh_token_replaced_by ON nebula.refresh_token USING btree (tenant_id, replaced_by);

CREATE INDEX idx_refresh_token_session_id ON nebula.refresh_token USING btree (tenant_id, session_id);

CREATE INDEX idx_role_binding_api_key_id ON nebula.role_binding USING btree (tenant_id, api_key_id);

CREATE INDEX idx_seed_history_tenant_id ON nebula.seed_history USING btree (tenant_id, applied_at);

CREATE INDEX idx_session_user_id ON nebula.session USING btree (tenant_id, user_id, created_at, id);

CREATE INDEX idx_tenant_created_at ON nebula.tenant USING btree (created_at, id);

CREATE INDEX idx_tenant_name ON nebula.tenant USING btree (name, id);

CREATE INDEX idx_tenant_slug ON nebula.tenant USING btree (slug, id);

CREATE INDEX idx_tool_action_tool_id ON nebula.tool_action USING btree (tool_id, created_at, id);

CREATE INDEX idx_tool_created_at ON nebula.tool USING btree (created_at, id);

CREATE INDEX idx_tool_key ON nebula.tool USING btree (key, id);

CREATE INDEX idx_tool_name ON nebula.tool USING btree (name, id);

CREATE INDEX idx_usage_metrics_tool_action_id ON ONLY nebula.usage_metrics USING btree (tenant_id, tool_action_id);

CREATE INDEX idx_user_created_at ON nebula."user" USING btree (tenant_id, created_at, id);

CREATE INDEX idx_user_email ON nebula."user" USING btree (tenant_id, email, id);

CREATE INDEX idx_user_external_id ON nebula."user" USING btree (external_id, auth_provider) WHERE (external_id IS NOT NULL);

COMMENT ON INDEX nebula.idx_user_external_id IS 'The people that an issuer''s subject is linked with, of whatever tenant.';

CREATE INDEX idx_user_group_group_id ON nebula.user_group USING btree (tenant_id, group_id, created_at, id);

CREATE INDEX idx_user_name ON nebula."user" USING btree (tenant_id, name, id);

CREATE INDEX idx_user_suspended ON nebula."user" USING btree (tenant_id, created_at, id) WHERE (status = 'suspenso'::nebula.status);

COMMENT ON INDEX nebula.idx_user_suspended IS 'The few among many: a list of them reads no others.';

CREATE INDEX idx_user_unlinked_email ON nebula."user" USING btree (lower(email) COLLATE "C") WHERE ((auth_provider = 'internal'::text) AND (external_id IS NULL));

COMMENT ON INDEX nebula.idx_user_unlinked_email IS 'The people of an address who are linked with nobody yet, of whatever tenant.';

CREATE INDEX idx_user_updated_at ON nebula."user" USING btree (tenant_id, updated_at, id);

CREATE INDEX idx_webhook_delivery_event_id ON ONLY nebula.webhook_delivery USING btree (tenant_id, event_id, webhook_subscription_id);

CREATE INDEX idx_webhook_delivery_id ON ONLY nebula.webhook_delivery USING btree (tenant_id, id);

CREATE INDEX idx_webhook_delivery_webhook_subscription_id ON ONLY nebula.webhook_delivery USING btree (tenant_id, webhook_subscription_id, created_at, id);

CREATE INDEX idx_webhook_subscription_created_at ON nebula.webhook_subscription USING btree (tenant_id, created_at, id);

CREATE INDEX outbox_finished_tenant_id_created_at_id_idx ON ONLY nebula.outbox_finished USING btree (tenant_id, created_at, id);

CREATE INDEX outbox_finished_default_tenant_id_created_at_id_idx ON nebula.outbox_finished_default USING btree (tenant_id, created_at, id);

CREATE INDEX outbox_finished_default_tenant_id_id_idx ON nebula.outbox_finished_default USING btree (tenant_id, id);

CREATE INDEX outbox_live_tenant_id_created_at_id_idx ON nebula.outbox_live USING btree (tenant_id, created_at, id);

CREATE UNIQUE INDEX uq_issuer_key_secret ON nebula.issuer_key USING btree (issuer_id) WHERE (kid IS NULL);

COMMENT ON INDEX nebula.uq_issuer_key_secret IS 'An issuer has one secret.';

CREATE UNIQUE INDEX uq_operation_action_api_version ON nebula.operation USING btree (action, api_version);

COMMENT ON INDEX nebula.uq_operation_action_api_version IS 'One operation of an action in a version of the API.';

CREATE UNIQUE INDEX uq_operation_route ON nebula.operation USING btree (method, path) WHERE (status = 'ativo'::nebula.status);

COMMENT ON INDEX nebula.uq_operation_route IS 'A route leads to one operation.';

CREATE UNIQUE INDEX uq_role_binding_role_name ON nebula.role_binding USING btree (role_name);

CREATE UNIQUE INDEX uq_tenant_platform ON nebula.tenant USING btree (kind) WHERE (kind = 'platform'::text);

COMMENT ON INDEX nebula.uq_tenant_platform IS 'There is one platform.';

CREATE UNIQUE INDEX uq_user_email ON nebula."user" USING btree (tenant_id, lower(email) COLLATE "C");

COMMENT ON INDEX nebula.uq_user_email IS 'An e-mail address belongs to one person of a tenant, however it is written.';

CREATE UNIQUE INDEX uq_user_external_id ON nebula."user" USING btree (tenant_id, auth_provider, external_id) WHERE (external_id IS NOT NULL);

CREATE INDEX usage_metrics_default_tenant_id_tool_action_id_idx ON nebula.usage_metrics_default USING btree (tenant_id, tool_action_id);

CREATE INDEX webhook_delivery_default_tenant_id_event_id_webhook_subscri_idx ON nebula.webhook_delivery_default USING btree (tenant_id, event_id, webhook_subscription_id);

CREATE INDEX webhook_delivery_default_tenant_id_id_idx ON nebula.webhook_delivery_default USING btree (tenant_id, id);

CREATE INDEX webhook_delivery_default_tenant_id_webhook_subscription_id__idx ON nebula.webhook_delivery_default USING btree (tenant_id, webhook_subscription_id, created_at, id);

ALTER INDEX nebula.pk_audit_log ATTACH PARTITION nebula.audit_log_default_pkey;

ALTER INDEX nebula.outbox_finished_tenant_id_created_at_id_idx ATTACH PARTITION nebula.outbox_finished_default_tenant_id_created_at_id_idx;

ALTER INDEX nebula.idx_outbox_finished_id ATTACH PARTITION nebula.outbox_finished_default_tenant_id_id_idx;

ALTER INDEX nebula.idx_outbox_created_at ATTACH PARTITION nebula.outbox_finished_tenant_id_created_at_id_idx;

ALTER INDEX nebula.idx_outbox_created_at ATTACH PARTITION nebula.outbox_live_tenant_id_created_at_id_idx;

ALTER INDEX nebula.pk_usage_metrics ATTACH PARTITION nebula.usage_metrics_default_pkey;

ALTER INDEX nebula.idx_usage_metrics_tool_action_id ATTACH PARTITION nebula.usage_metrics_default_tenant_id_tool_action_id_idx;

ALTER INDEX nebula.pk_webhook_delivery ATTACH PARTITION nebula.webhook_delivery_default_pkey;

ALTER INDEX nebula.idx_webhook_delivery_event_id ATTACH PARTITION nebula.webhook_delivery_default_tenant_id_event_id_webhook_subscri_idx;

ALTER INDEX nebula.idx_webhook_delivery_id ATTACH PARTITION nebula.webhook_delivery_default_tenant_id_id_idx;

ALTER INDEX nebula.idx_webhook_delivery_webhook_subscription_id ATTACH PARTITION nebula.webhook_delivery_default_tenant_id_webhook_subscription_id__idx;

CREATE TRIGGER audit_delete AFTER DELETE ON nebula.api_key REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.api_key ENABLE ALWAYS TRIGGER audit_delete;

CREATE TRIGGER audit_delete AFTER DELETE ON nebula.api_key_action REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.api_key_action ENABLE ALWAYS TRIGGER audit_delete;

CREATE TRIGGER audit_delete AFTER DELETE ON nebula.archive REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.archive ENABLE ALWAYS TRIGGER audit_delete;

CREATE TRIGGER audit_delete AFTER DELETE ON nebula.audit_key REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.audit_key ENABLE ALWAYS TRIGGER audit_delete;

CREATE TRIGGER audit_delete AFTER DELETE ON nebula.delivery_place REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.delivery_place ENABLE ALWAYS TRIGGER audit_delete;

CREATE TRIGGER audit_delete AFTER DELETE ON nebula.export_job REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.export_job ENABLE ALWAYS TRIGGER audit_delete;

CREATE TRIGGER audit_delete AFTER DELETE ON nebula."group" REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula."group" ENABLE ALWAYS TRIGGER audit_delete;

CREATE TRIGGER audit_delete AFTER DELETE ON nebula.group_permission REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.group_permission ENABLE ALWAYS TRIGGER audit_delete;

CREATE TRIGGER audit_delete AFTER DELETE ON nebula.integration_credential REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.integration_credential ENABLE ALWAYS TRIGGER audit_delete;

CREATE TRIGGER audit_delete AFTER DELETE ON nebula.invite REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.invite ENABLE ALWAYS TRIGGER audit_delete;

CREATE TRIGGER audit_delete AFTER DELETE ON nebula.issuer REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.issuer ENABLE ALWAYS TRIGGER audit_delete;

CREATE TRIGGER audit_delete AFTER DELETE ON nebula.issuer_key REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.issuer_key ENABLE ALWAYS TRIGGER audit_delete;

CREATE TRIGGER audit_delete AFTER DELETE ON nebula.operation REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.operation ENABLE ALWAYS TRIGGER audit_delete;

CREATE TRIGGER audit_delete AFTER DELETE ON nebula.operation_version REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.operation_version ENABLE ALWAYS TRIGGER audit_delete;

CREATE TRIGGER audit_delete AFTER DELETE ON nebula.operational_profile REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.operational_profile ENABLE ALWAYS TRIGGER audit_delete;

CREATE TRIGGER audit_delete AFTER DELETE ON nebula.package REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.package ENABLE ALWAYS TRIGGER audit_delete;

CREATE TRIGGER audit_delete AFTER DELETE ON nebula.package_action REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.package_action ENABLE ALWAYS TRIGGER audit_delete;

CREATE TRIGGER audit_delete AFTER DELETE ON nebula.protected_table REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.protected_table ENABLE ALWAYS TRIGGER audit_delete;

CREATE TRIGGER audit_delete AFTER DELETE ON nebula.role_binding REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.role_binding ENABLE ALWAYS TRIGGER audit_delete;

CREATE TRIGGER audit_delete AFTER DELETE ON nebula.sealing_key REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.sealing_key ENABLE ALWAYS TRIGGER audit_delete;

CREATE TRIGGER audit_delete AFTER DELETE ON nebula.signing_key REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.signing_key ENABLE ALWAYS TRIGGER audit_delete;

CREATE TRIGGER audit_delete AFTER DELETE ON nebula.tenant REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.tenant ENABLE ALWAYS TRIGGER audit_delete;

CREATE TRIGGER audit_delete AFTER DELETE ON nebula.tenant_branding REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.tenant_branding ENABLE ALWAYS TRIGGER audit_delete;

CREATE TRIGGER audit_delete AFTER DELETE ON nebula.tenant_config REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.tenant_config ENABLE ALWAYS TRIGGER audit_delete;

CREATE TRIGGER audit_delete AFTER DELETE ON nebula.tenant_package REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.tenant_package ENABLE ALWAYS TRIGGER audit_delete;

CREATE TRIGGER audit_delete AFTER DELETE ON nebula.tenant_tool_override REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.tenant_tool_override ENABLE ALWAYS TRIGGER audit_delete;

CREATE TRIGGER audit_delete AFTER DELETE ON nebula.tool REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.tool ENABLE ALWAYS TRIGGER audit_delete;

CREATE TRIGGER audit_delete AFTER DELETE ON nebula.tool_action REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.tool_action ENABLE ALWAYS TRIGGER audit_delete;

CREATE TRIGGER audit_delete AFTER DELETE ON nebula."user" REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula."user" ENABLE ALWAYS TRIGGER audit_delete;

CREATE TRIGGER audit_delete AFTER DELETE ON nebula.user_group REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.user_group ENABLE ALWAYS TRIGGER audit_delete;

CREATE TRIGGER audit_delete AFTER DELETE ON nebula.webhook_subscription REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.webhook_subscription ENABLE ALWAYS TRIGGER audit_delete;

CREATE TRIGGER audit_insert AFTER INSERT ON nebula.api_key REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.api_key ENABLE ALWAYS TRIGGER audit_insert;

CREATE TRIGGER audit_insert AFTER INSERT ON nebula.api_key_action REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.api_key_action ENABLE ALWAYS TRIGGER audit_insert;

CREATE TRIGGER audit_insert AFTER INSERT ON nebula.archive REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.archive ENABLE ALWAYS TRIGGER audit_insert;

CREATE TRIGGER audit_insert AFTER INSERT ON nebula.audit_key REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.audit_key ENABLE ALWAYS TRIGGER audit_insert;

CREATE TRIGGER audit_insert AFTER INSERT ON nebula.delivery_place REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.delivery_place ENABLE ALWAYS TRIGGER audit_insert;

CREATE TRIGGER audit_insert AFTER INSERT ON nebula.export_job REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.export_job ENABLE ALWAYS TRIGGER audit_insert;

CREATE TRIGGER audit_insert AFTER INSERT ON nebula."group" REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula."group" ENABLE ALWAYS TRIGGER audit_insert;

CREATE TRIGGER audit_insert AFTER INSERT ON nebula.group_permission REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.group_permission ENABLE ALWAYS TRIGGER audit_insert;

CREATE TRIGGER audit_insert AFTER INSERT ON nebula.integration_credential REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.integration_credential ENABLE ALWAYS TRIGGER audit_insert;

CREATE TRIGGER audit_insert AFTER INSERT ON nebula.invite REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.invite ENABLE ALWAYS TRIGGER audit_insert;

CREATE TRIGGER audit_insert AFTER INSERT ON nebula.issuer REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.issuer ENABLE ALWAYS TRIGGER audit_insert;

CREATE TRIGGER audit_insert AFTER INSERT ON nebula.issuer_key REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.issuer_key ENABLE ALWAYS TRIGGER audit_insert;

CREATE TRIGGER audit_insert AFTER INSERT ON nebula.operation REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.operation ENABLE ALWAYS TRIGGER audit_insert;

CREATE TRIGGER audit_insert AFTER INSERT ON nebula.operation_version REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.operation_version ENABLE ALWAYS TRIGGER audit_insert;

CREATE TRIGGER audit_insert AFTER INSERT ON nebula.operational_profile REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.operational_profile ENABLE ALWAYS TRIGGER audit_insert;

CREATE TRIGGER audit_insert AFTER INSERT ON nebula.package REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.package ENABLE ALWAYS TRIGGER audit_insert;

CREATE TRIGGER audit_insert AFTER INSERT ON nebula.package_action REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.package_action ENABLE ALWAYS TRIGGER audit_insert;

CREATE TRIGGER audit_insert AFTER INSERT ON nebula.protected_table REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.protected_table ENABLE ALWAYS TRIGGER audit_insert;

CREATE TRIGGER audit_insert AFTER INSERT ON nebula.role_binding REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.role_binding ENABLE ALWAYS TRIGGER audit_insert;

CREATE TRIGGER audit_insert AFTER INSERT ON nebula.sealing_key REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.sealing_key ENABLE ALWAYS TRIGGER audit_insert;

CREATE TRIGGER audit_insert AFTER INSERT ON nebula.signing_key REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.signing_key ENABLE ALWAYS TRIGGER audit_insert;

CREATE TRIGGER audit_insert AFTER INSERT ON nebula.tenant REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.tenant ENABLE ALWAYS TRIGGER audit_insert;

CREATE TRIGGER audit_insert AFTER INSERT ON nebula.tenant_branding REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.tenant_branding ENABLE ALWAYS TRIGGER audit_insert;

CREATE TRIGGER audit_insert AFTER INSERT ON nebula.tenant_config REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.tenant_config ENABLE ALWAYS TRIGGER audit_insert;

CREATE TRIGGER audit_insert AFTER INSERT ON nebula.tenant_package REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.tenant_package ENABLE ALWAYS TRIGGER audit_insert;

CREATE TRIGGER audit_insert AFTER INSERT ON nebula.tenant_tool_override REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.tenant_tool_override ENABLE ALWAYS TRIGGER audit_insert;

CREATE TRIGGER audit_insert AFTER INSERT ON nebula.tool REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.tool ENABLE ALWAYS TRIGGER audit_insert;

CREATE TRIGGER audit_insert AFTER INSERT ON nebula.tool_action REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.tool_action ENABLE ALWAYS TRIGGER audit_insert;

CREATE TRIGGER audit_insert AFTER INSERT ON nebula."user" REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula."user" ENABLE ALWAYS TRIGGER audit_insert;

CREATE TRIGGER audit_insert AFTER INSERT ON nebula.user_group REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.user_group ENABLE ALWAYS TRIGGER audit_insert;

CREATE TRIGGER audit_insert AFTER INSERT ON nebula.user_secret REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.user_secret ENABLE ALWAYS TRIGGER audit_insert;

CREATE TRIGGER audit_insert AFTER INSERT ON nebula.webhook_subscription REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.webhook_subscription ENABLE ALWAYS TRIGGER audit_insert;

CREATE TRIGGER audit_update AFTER UPDATE ON nebula.api_key REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.api_key ENABLE ALWAYS TRIGGER audit_update;

CREATE TRIGGER audit_update AFTER UPDATE ON nebula.api_key_action REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.api_key_action ENABLE ALWAYS TRIGGER audit_update;

CREATE TRIGGER audit_update AFTER UPDATE ON nebula.archive REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.archive ENABLE ALWAYS TRIGGER audit_update;

CREATE TRIGGER audit_update AFTER UPDATE ON nebula.audit_key REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.audit_key ENABLE ALWAYS TRIGGER audit_update;

CREATE TRIGGER audit_update AFTER UPDATE ON nebula.delivery_place REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.delivery_place ENABLE ALWAYS TRIGGER audit_update;

CREATE TRIGGER audit_update AFTER UPDATE ON nebula.export_job REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.export_job ENABLE ALWAYS TRIGGER audit_update;

CREATE TRIGGER audit_update AFTER UPDATE ON nebula."group" REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula."group" ENABLE ALWAYS TRIGGER audit_update;

CREATE TRIGGER audit_update AFTER UPDATE ON nebula.group_permission REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.group_permission ENABLE ALWAYS TRIGGER audit_update;

CREATE TRIGGER audit_update AFTER UPDATE ON nebula.integration_credential REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.integration_credential ENABLE ALWAYS TRIGGER audit_update;

CREATE TRIGGER audit_update AFTER UPDATE ON nebula.invite REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.invite ENABLE ALWAYS TRIGGER audit_update;

CREATE TRIGGER audit_update AFTER UPDATE ON nebula.issuer REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.issuer ENABLE ALWAYS TRIGGER audit_update;

CREATE TRIGGER audit_update AFTER UPDATE ON nebula.issuer_key REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.issuer_key ENABLE ALWAYS TRIGGER audit_update;

CREATE TRIGGER audit_update AFTER UPDATE ON nebula.operation REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.operation ENABLE ALWAYS TRIGGER audit_update;

CREATE TRIGGER audit_update AFTER UPDATE ON nebula.operation_version REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.operation_version ENABLE ALWAYS TRIGGER audit_update;

CREATE TRIGGER audit_update AFTER UPDATE ON nebula.operational_profile REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.operational_profile ENABLE ALWAYS TRIGGER audit_update;

CREATE TRIGGER audit_update AFTER UPDATE ON nebula.package REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.package ENABLE ALWAYS TRIGGER audit_update;

CREATE TRIGGER audit_update AFTER UPDATE ON nebula.package_action REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.package_action ENABLE ALWAYS TRIGGER audit_update;

CREATE TRIGGER audit_update AFTER UPDATE ON nebula.protected_table REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.protected_table ENABLE ALWAYS TRIGGER audit_update;

CREATE TRIGGER audit_update AFTER UPDATE ON nebula.role_binding REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.role_binding ENABLE ALWAYS TRIGGER audit_update;

CREATE TRIGGER audit_update AFTER UPDATE ON nebula.sealing_key REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.sealing_key ENABLE ALWAYS TRIGGER audit_update;

CREATE TRIGGER audit_update AFTER UPDATE ON nebula.signing_key REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.signing_key ENABLE ALWAYS TRIGGER audit_update;

CREATE TRIGGER audit_update AFTER UPDATE ON nebula.tenant REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.tenant ENABLE ALWAYS TRIGGER audit_update;

CREATE TRIGGER audit_update AFTER UPDATE ON nebula.tenant_branding REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.tenant_branding ENABLE ALWAYS TRIGGER audit_update;

CREATE TRIGGER audit_update AFTER UPDATE ON nebula.tenant_config REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.tenant_config ENABLE ALWAYS TRIGGER audit_update;

CREATE TRIGGER audit_update AFTER UPDATE ON nebula.tenant_package REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.tenant_package ENABLE ALWAYS TRIGGER audit_update;

CREATE TRIGGER audit_update AFTER UPDATE ON nebula.tenant_tool_override REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.tenant_tool_override ENABLE ALWAYS TRIGGER audit_update;

CREATE TRIGGER audit_update AFTER UPDATE ON nebula.tool REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.tool ENABLE ALWAYS TRIGGER audit_update;

CREATE TRIGGER audit_update AFTER UPDATE ON nebula.tool_action REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.tool_action ENABLE ALWAYS TRIGGER audit_update;

CREATE TRIGGER audit_update AFTER UPDATE ON nebula."user" REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula."user" ENABLE ALWAYS TRIGGER audit_update;

CREATE TRIGGER audit_update AFTER UPDATE ON nebula.user_group REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.user_group ENABLE ALWAYS TRIGGER audit_update;

CREATE TRIGGER audit_update AFTER UPDATE ON nebula.webhook_subscription REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nebula.audit_change();

ALTER TABLE nebula.webhook_subscription ENABLE ALWAYS TRIGGER audit_update;

CREATE TRIGGER refuse_change BEFORE DELETE ON nebula.audit_log FOR EACH ROW EXECUTE FUNCTION nebula.refuse_change();

ALTER TABLE nebula.audit_log ENABLE ALWAYS TRIGGER refuse_change;

CREATE TRIGGER refuse_change BEFORE DELETE OR UPDATE ON nebula.operation_version FOR EACH ROW EXECUTE FUNCTION nebula.refuse_change();

ALTER TABLE nebula.operation_version ENABLE ALWAYS TRIGGER refuse_change;

CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON nebula.audit_log FOR EACH STATEMENT EXECUTE FUNCTION nebula.refuse_change();

ALTER TABLE nebula.audit_log ENABLE ALWAYS TRIGGER refuse_truncate;

CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON nebula.audit_log_default FOR EACH STATEMENT EXECUTE FUNCTION nebula.refuse_change();

ALTER TABLE nebula.audit_log_default ENABLE ALWAYS TRIGGER refuse_truncate;

CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON nebula.operation_version FOR EACH STATEMENT EXECUTE FUNCTION nebula.refuse_change();

ALTER TABLE nebula.operation_version ENABLE ALWAYS TRIGGER refuse_truncate;

CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON nebula.outbox_finished FOR EACH STATEMENT EXECUTE FUNCTION nebula.refuse_change();

ALTER TABLE nebula.outbox_finished ENABLE ALWAYS TRIGGER refuse_truncate;

CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON nebula.outbox_finished_default FOR EACH STATEMENT EXECUTE FUNCTION nebula.refuse_change();

ALTER TABLE nebula.outbox_finished_default ENABLE ALWAYS TRIGGER refuse_truncate;

CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON nebula.outbox_live FOR EACH STATEMENT EXECUTE FUNCTION nebula.refuse_change();

ALTER TABLE nebula.outbox_live ENABLE ALWAYS TRIGGER refuse_truncate;

CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON nebula.usage_metrics_default FOR EACH STATEMENT EXECUTE FUNCTION nebula.refuse_change();

ALTER TABLE nebula.usage_metrics_default ENABLE ALWAYS TRIGGER refuse_truncate;

CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON nebula.webhook_delivery_default FOR EACH STATEMENT EXECUTE FUNCTION nebula.refuse_change();

ALTER TABLE nebula.webhook_delivery_default ENABLE ALWAYS TRIGGER refuse_truncate;

CREATE TRIGGER refuse_update BEFORE UPDATE ON nebula.audit_log FOR EACH ROW EXECUTE FUNCTION nebula.refuse_change_but_erasure();

ALTER TABLE nebula.audit_log ENABLE ALWAYS TRIGGER refuse_update;

CREATE TRIGGER rights_changed AFTER DELETE OR UPDATE OF role, hash, previous_hash, previous_expires_at, expires_at, status OR TRUNCATE ON nebula.api_key FOR EACH STATEMENT EXECUTE FUNCTION nebula.rights_changed();

ALTER TABLE nebula.api_key ENABLE ALWAYS TRIGGER rights_changed;

CREATE TRIGGER rights_changed AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON nebula.api_key_action FOR EACH STATEMENT EXECUTE FUNCTION nebula.rights_changed();

ALTER TABLE nebula.api_key_action ENABLE ALWAYS TRIGGER rights_changed;

CREATE TRIGGER rights_changed AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON nebula."group" FOR EACH STATEMENT EXECUTE FUNCTION nebula.rights_changed();

ALTER TABLE nebula."group" ENABLE ALWAYS TRIGGER rights_changed;

CREATE TRIGGER rights_changed AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON nebula.group_permission FOR EACH STATEMENT EXECUTE FUNCTION nebula.rights_changed();

ALTER TABLE nebula.group_permission ENABLE ALWAYS TRIGGER rights_changed;

CREATE TRIGGER rights_changed AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON nebula.installation FOR EACH STATEMENT EXECUTE FUNCTION nebula.rights_changed();

ALTER TABLE nebula.installation ENABLE ALWAYS TRIGGER rights_changed;

CREATE TRIGGER rights_changed AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON nebula.issuer FOR EACH STATEMENT EXECUTE FUNCTION nebula.rights_changed();

ALTER TABLE nebula.issuer ENABLE ALWAYS TRIGGER rights_changed;

CREATE TRIGGER rights_changed AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON nebula.issuer_key FOR EACH STATEMENT EXECUTE FUNCTION nebula.rights_changed();

ALTER TABLE nebula.issuer_key ENABLE ALWAYS TRIGGER rights_changed;

CREATE TRIGGER rights_changed AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON nebula.operation FOR EACH STATEMENT EXECUTE FUNCTION nebula.rights_changed();

ALTER TABLE nebula.operation ENABLE ALWAYS TRIGGER rights_changed;

CREATE TRIGGER rights_changed AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON nebula.package FOR EACH STATEMENT EXECUTE FUNCTION nebula.rights_changed();

ALTER TABLE nebula.package ENABLE ALWAYS TRIGGER rights_changed;

CREATE TRIGGER rights_changed AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON nebula.package_action FOR EACH STATEMENT EXECUTE FUNCTION nebula.rights_changed();

ALTER TABLE nebula.package_action ENABLE ALWAYS TRIGGER rights_changed;

CREATE TRIGGER rights_changed AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON nebula.protected_table FOR EACH STATEMENT EXECUTE FUNCTION nebula.rights_changed();

ALTER TABLE nebula.protected_table ENABLE ALWAYS TRIGGER rights_changed;

CREATE TRIGGER rights_changed AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON nebula.role_binding FOR EACH STATEMENT EXECUTE FUNCTION nebula.rights_changed();

ALTER TABLE nebula.role_binding ENABLE ALWAYS TRIGGER rights_changed;

CREATE TRIGGER rights_changed AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON nebula.signing_key FOR EACH STATEMENT EXECUTE FUNCTION nebula.rights_changed();

ALTER TABLE nebula.signing_key ENABLE ALWAYS TRIGGER rights_changed;

CREATE TRIGGER rights_changed AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON nebula.tenant FOR EACH STATEMENT EXECUTE FUNCTION nebula.rights_changed();

ALTER TABLE nebula.tenant ENABLE ALWAYS TRIGGER rights_changed;

CREATE TRIGGER rights_changed AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON nebula.tenant_config FOR EACH STATEMENT EXECUTE FUNCTION nebula.rights_changed();

ALTER TABLE nebula.tenant_config ENABLE ALWAYS TRIGGER rights_changed;

CREATE TRIGGER rights_changed AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON nebula.tenant_package FOR EACH STATEMENT EXECUTE FUNCTION nebula.rights_changed();

ALTER TABLE nebula.tenant_package ENABLE ALWAYS TRIGGER rights_changed;

CREATE TRIGGER rights_changed AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON nebula.tenant_tool_override FOR EACH STATEMENT EXECUTE FUNCTION nebula.rights_changed();

ALTER TABLE nebula.tenant_tool_override ENABLE ALWAYS TRIGGER rights_changed;

CREATE TRIGGER rights_changed AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON nebula.tool FOR EACH STATEMENT EXECUTE FUNCTION nebula.rights_changed();

ALTER TABLE nebula.tool ENABLE ALWAYS TRIGGER rights_changed;

CREATE TRIGGER rights_changed AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON nebula.tool_action FOR EACH STATEMENT EXECUTE FUNCTION nebula.rights_changed();

ALTER TABLE nebula.tool_action ENABLE ALWAYS TRIGGER rights_changed;

CREATE TRIGGER rights_changed AFTER DELETE OR UPDATE OF status, deleted_at OR TRUNCATE ON nebula."user" FOR EACH STATEMENT EXECUTE FUNCTION nebula.rights_changed();

ALTER TABLE nebula."user" ENABLE ALWAYS TRIGGER rights_changed;

CREATE TRIGGER rights_changed AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON nebula.user_group FOR EACH STATEMENT EXECUTE FUNCTION nebula.rights_changed();

ALTER TABLE nebula.user_group ENABLE ALWAYS TRIGGER rights_changed;

CREATE TRIGGER touch_updated_at BEFORE UPDATE ON nebula.api_key FOR EACH ROW WHEN ((NOT (old.last_used_at IS DISTINCT FROM new.last_used_at))) EXECUTE FUNCTION nebula.touch_updated_at();

CREATE TRIGGER touch_updated_at BEFORE UPDATE ON nebula.export_job FOR EACH ROW EXECUTE FUNCTION nebula.touch_updated_at();

CREATE TRIGGER touch_updated_at BEFORE UPDATE ON nebula."group" FOR EACH ROW EXECUTE FUNCTION nebula.touch_updated_at();

CREATE TRIGGER touch_updated_at BEFORE UPDATE ON nebula.group_permission FOR EACH ROW EXECUTE FUNCTION nebula.touch_updated_at();

CREATE TRIGGER touch_updated_at BEFORE UPDATE ON nebula.integration_credential FOR EACH ROW EXECUTE FUNCTION nebula.touch_updated_at();

CREATE TRIGGER touch_updated_at BEFORE UPDATE ON nebula.issuer FOR EACH ROW EXECUTE FUNCTION nebula.touch_updated_at();

CREATE TRIGGER touch_updated_at BEFORE UPDATE ON nebula.issuer_key FOR EACH ROW EXECUTE FUNCTION nebula.touch_updated_at();

CREATE TRIGGER touch_updated_at BEFORE UPDATE ON nebula.operation FOR EACH ROW EXECUTE FUNCTION nebula.touch_updated_at();

CREATE TRIGGER touch_updated_at BEFORE UPDATE ON nebula.operational_profile FOR EACH ROW EXECUTE FUNCTION nebula.touch_updated_at();

CREATE TRIGGER touch_updated_at BEFORE UPDATE ON nebula.package FOR EACH ROW EXECUTE FUNCTION nebula.touch_updated_at();

CREATE TRIGGER touch_updated_at BEFORE UPDATE ON nebula.protected_table FOR EACH ROW EXECUTE FUNCTION nebula.touch_updated_at();

CREATE TRIGGER touch_updated_at BEFORE UPDATE ON nebula.signing_key FOR EACH ROW EXECUTE FUNCTION nebula.touch_updated_at();

CREATE TRIGGER touch_updated_at BEFORE UPDATE ON nebula.tenant FOR EACH ROW EXECUTE FUNCTION nebula.touch_updated_at();

CREATE TRIGGER touch_updated_at BEFORE UPDATE ON nebula.tenant_branding FOR EACH ROW EXECUTE FUNCTION nebula.touch_updated_at();

CREATE TRIGGER touch_updated_at BEFORE UPDATE ON nebula.tenant_config FOR EACH ROW EXECUTE FUNCTION nebula.touch_updated_at();

CREATE TRIGGER touch_updated_at BEFORE UPDATE ON nebula.tenant_package FOR EACH ROW EXECUTE FUNCTION nebula.touch_updated_at();

CREATE TRIGGER touch_updated_at BEFORE UPDATE ON nebula.tenant_tool_override FOR EACH ROW EXECUTE FUNCTION nebula.touch_updated_at();

CREATE TRIGGER touch_updated_at BEFORE UPDATE ON nebula.tool FOR EACH ROW EXECUTE FUNCTION nebula.touch_updated_at();

CREATE TRIGGER touch_updated_at BEFORE UPDATE ON nebula.tool_action FOR EACH ROW EXECUTE FUNCTION nebula.touch_updated_at();

CREATE TRIGGER touch_updated_at BEFORE UPDATE ON nebula.usage_metrics FOR EACH ROW EXECUTE FUNCTION nebula.touch_updated_at();

CREATE TRIGGER touch_updated_at BEFORE UPDATE ON nebula."user" FOR EACH ROW EXECUTE FUNCTION nebula.touch_updated_at();

CREATE TRIGGER touch_updated_at BEFORE UPDATE ON nebula.user_secret FOR EACH ROW EXECUTE FUNCTION nebula.touch_updated_at();

CREATE TRIGGER touch_updated_at BEFORE UPDATE ON nebula.webhook_subscription FOR EACH ROW WHEN ((NOT (old.failing_since IS DISTINCT FROM new.failing_since))) EXECUTE FUNCTION nebula.touch_updated_at();

ALTER TABLE ONLY nebula.api_key_action
    ADD CONSTRAINT fk_api_key_action_api_key_id FOREIGN KEY (tenant_id, api_key_id) REFERENCES nebula.api_key(tenant_id, id);

ALTER TABLE ONLY nebula.api_key_action
    ADD CONSTRAINT fk_api_key_action_tool_action_id FOREIGN KEY (tool_action_id) REFERENCES nebula.tool_action(id);

ALTER TABLE ONLY nebula.api_key
    ADD CONSTRAINT fk_api_key_tenant_id FOREIGN KEY (tenant_id) REFERENCES nebula.tenant(id);

ALTER TABLE ONLY nebula.archive
    ADD CONSTRAINT fk_archive_tenant_id FOREIGN KEY (tenant_id) REFERENCES nebula.tenant(id);

ALTER TABLE ONLY nebula.export_job
    ADD CONSTRAINT fk_export_job_requested_by_api_key_id FOREIGN KEY (tenant_id, requested_by_api_key_id) REFERENCES nebula.api_key(tenant_id, id);

ALTER TABLE ONLY nebula.export_job
    ADD CONSTRAINT fk_export_job_requested_by_user_id FOREIGN KEY (tenant_id, requested_by_user_id) REFERENCES nebula."user"(tenant_id, id);

ALTER TABLE ONLY nebula.export_job
    ADD CONSTRAINT fk_export_job_tenant_id FOREIGN KEY (tenant_id) REFERENCES nebula.tenant(id);

ALTER TABLE ONLY nebula.group_permission
    ADD CONSTRAINT fk_group_permission_group_id FOREIGN KEY (tenant_id, group_id) REFERENCES nebula."group"(tenant_id, id);

ALTER TABLE ONLY nebula.group_permission
    ADD CONSTRAINT fk_group_permission_tool_action_id FOREIGN KEY (tool_action_id) REFERENCES nebula.tool_action(id);

ALTER TABLE ONLY nebula."group"
    ADD CONSTRAINT fk_group_tenant_id FOREIGN KEY (tenant_id) REFERENCES nebula.tenant(id);

ALTER TABLE ONLY nebula.integration_credential
    ADD CONSTRAINT fk_integration_credential_tenant_id FOREIGN KEY (tenant_id) REFERENCES nebula.tenant(id);

ALTER TABLE ONLY nebula.invite
    ADD CONSTRAINT fk_invite_made_by_api_key_id FOREIGN KEY (tenant_id, made_by_api_key_id) REFERENCES nebula.api_key(tenant_id, id);

ALTER TABLE ONLY nebula.invite
    ADD CONSTRAINT fk_invite_made_by_user_id FOREIGN KEY (tenant_id, made_by_user_id) REFERENCES nebula."user"(tenant_id, id);

ALTER TABLE ONLY nebula.invite
    ADD CONSTRAINT fk_invite_user_id FOREIGN KEY (tenant_id, user_id) REFERENCES nebula."user"(tenant_id, id);

ALTER TABLE ONLY nebula.issuer_key
    ADD CONSTRAINT fk_issuer_key_issuer_id FOREIGN KEY (issuer_id) REFERENCES nebula.issuer(id);

ALTER TABLE ONLY nebula.operation_version
    ADD CONSTRAINT fk_operation_version_operation_id FOREIGN KEY (operation_id) REFERENCES nebula.operation(id);

ALTER TABLE ONLY nebula.package_action
    ADD CONSTRAINT fk_package_action_package_id FOREIGN KEY (package_id) REFERENCES nebula.package(id);

ALTER TABLE ONLY nebula.package_action
    ADD CONSTRAINT fk_package_action_tool_action_id FOREIGN KEY (tool_action_id) REFERENCES nebula.tool_action(id);

ALTER TABLE ONLY nebula.permission_usage
    ADD CONSTRAINT fk_permission_usage_group_permission_id FOREIGN KEY (tenant_id, group_permission_id) REFERENCES nebula.group_permission(tenant_id, id) ON DELETE CASCADE;

ALTER TABLE ONLY nebula.permission_usage
    ADD CONSTRAINT fk_permission_usage_user_id FOREIGN KEY (tenant_id, user_id) REFERENCES nebula."user"(tenant_id, id);

ALTER TABLE ONLY nebula.protected_table
    ADD CONSTRAINT fk_protected_table_parent_id FOREIGN KEY (parent_id) REFERENCES nebula.protected_table(id) ON DELETE CASCADE;

ALTER TABLE ONLY nebula.quota_usage
    ADD CONSTRAINT fk_quota_usage_tenant_id FOREIGN KEY (tenant_id) REFERENCES nebula.tenant(id);

ALTER TABLE ONLY nebula.quota_usage
    ADD CONSTRAINT fk_quota_usage_tool_action_id FOREIGN KEY (tool_action_id) REFERENCES nebula.tool_action(id);

ALTER TABLE ONLY nebula.refresh_token
    ADD CONSTRAINT fk_refresh_token_replaced_by FOREIGN KEY (tenant_id, replaced_by) REFERENCES nebula.refresh_token(tenant_id, id);

ALTER TABLE ONLY nebula.refresh_token
    ADD CONSTRAINT fk_refresh_token_session_id FOREIGN KEY (tenant_id, session_id) REFERENCES nebula.session(tenant_id, id);

ALTER TABLE ONLY nebula.revoked_token
    ADD CONSTRAINT fk_revoked_token_tenant_id FOREIGN KEY (tenant_id) REFERENCES nebula.tenant(id);

ALTER TABLE ONLY nebula.role_binding
    ADD CONSTRAINT fk_role_binding_api_key_id FOREIGN KEY (tenant_id, api_key_id) REFERENCES nebula.api_key(tenant_id, id);

ALTER TABLE ONLY nebula.session
    ADD CONSTRAINT fk_session_user_id FOREIGN KEY (tenant_id, user_id) REFERENCES nebula."user"(tenant_id, id);

ALTER TABLE ONLY nebula.tenant_branding
    ADD CONSTRAINT fk_tenant_branding_tenant_id FOREIGN KEY (tenant_id) REFERENCES nebula.tenant(id);

ALTER TABLE ONLY nebula.tenant_config
    ADD CONSTRAINT fk_tenant_config_tenant_id FOREIGN KEY (tenant_id) REFERENCES nebula.tenant(id);

ALTER TABLE ONLY nebula.tenant_package
    ADD CONSTRAINT fk_tenant_package_package_id FOREIGN KEY (package_id) REFERENCES nebula.package(id);

ALTER TABLE ONLY nebula.tenant_package
    ADD CONSTRAINT fk_tenant_package_tenant_id FOREIGN KEY (tenant_id) REFERENCES nebula.tenant(id);

ALTER TABLE ONLY nebula.tenant_tool_override
    ADD CONSTRAINT fk_tenant_tool_override_tenant_id FOREIGN KEY (tenant_id) REFERENCES nebula.tenant(id);

ALTER TABLE ONLY nebula.tenant_tool_override
    ADD CONSTRAINT fk_tenant_tool_override_tool_action_id FOREIGN KEY (tool_action_id) REFERENCES nebula.tool_action(id);

ALTER TABLE ONLY nebula.tenant_tool_override
    ADD CONSTRAINT fk_tenant_tool_override_tool_id FOREIGN KEY (tool_id) REFERENCES nebula.tool(id);

ALTER TABLE ONLY nebula.tool_action
    ADD CONSTRAINT fk_tool_action_tool_id FOREIGN KEY (tool_id) REFERENCES nebula.tool(id);

ALTER TABLE nebula.usage_metrics
    ADD CONSTRAINT fk_usage_metrics_tenant_id FOREIGN KEY (tenant_id) REFERENCES nebula.tenant(id);

ALTER TABLE nebula.usage_metrics
    ADD CONSTRAINT fk_usage_metrics_tool_action_id FOREIGN KEY (tool_action_id) REFERENCES nebula.tool_action(id);

ALTER TABLE ONLY nebula.user_group
    ADD CONSTRAINT fk_user_group_group_id FOREIGN KEY (tenant_id, group_id) REFERENCES nebula."group"(tenant_id, id);

ALTER TABLE ONLY nebula.user_group
    ADD CONSTRAINT fk_user_group_user_id FOREIGN KEY (tenant_id, user_id) REFERENCES nebula."user"(tenant_id, id);

ALTER TABLE ONLY nebula.user_secret
    ADD CONSTRAINT fk_user_secret_user_id FOREIGN KEY (tenant_id, user_id) REFERENCES nebula."user"(tenant_id, id);

ALTER TABLE ONLY nebula."user"
    ADD CONSTRAINT fk_user_tenant_id FOREIGN KEY (tenant_id) REFERENCES nebula.tenant(id);

ALTER TABLE ONLY nebula.webhook_subscription
    ADD CONSTRAINT fk_webhook_subscription_tenant_id FOREIGN KEY (tenant_id) REFERENCES nebula.tenant(id);

ALTER TABLE nebula.api_key ENABLE ROW LEVEL SECURITY;

ALTER TABLE nebula.api_key_action ENABLE ROW LEVEL SECURITY;

ALTER TABLE nebula.archive ENABLE ROW LEVEL SECURITY;

ALTER TABLE nebula.audit_block ENABLE ROW LEVEL SECURITY;

ALTER TABLE nebula.audit_erasure ENABLE ROW LEVEL SECURITY;

ALTER TABLE nebula.audit_log ENABLE ROW LEVEL SECURITY;

ALTER TABLE nebula.audit_log_default ENABLE ROW LEVEL SECURITY;

ALTER TABLE nebula.audit_segment ENABLE ROW LEVEL SECURITY;

ALTER TABLE nebula.export_job ENABLE ROW LEVEL SECURITY;

ALTER TABLE nebula."group" ENABLE ROW LEVEL SECURITY;

ALTER TABLE nebula.group_permission ENABLE ROW LEVEL SECURITY;

ALTER TABLE nebula.idempotency_key ENABLE ROW LEVEL SECURITY;

ALTER TABLE nebula.integration_credential ENABLE ROW LEVEL SECURITY;

ALTER TABLE nebula.invite ENABLE ROW LEVEL SECURITY;

ALTER TABLE nebula.outbox ENABLE ROW LEVEL SECURITY;

ALTER TABLE nebula.outbox_finished ENABLE ROW LEVEL SECURITY;

ALTER TABLE nebula.outbox_finished_default ENABLE ROW LEVEL SECURITY;

ALTER TABLE nebula.outbox_live ENABLE ROW LEVEL SECURITY;

ALTER TABLE nebula.permission_usage ENABLE ROW LEVEL SECURITY;

CREATE POLICY platform_access ON nebula.api_key TO nebula_platform USING (true) WITH CHECK (true);

CREATE POLICY platform_access ON nebula.api_key_action TO nebula_platform USING (true) WITH CHECK (true);

CREATE POLICY platform_access ON nebula.archive TO nebula_platform USING (true) WITH CHECK (true);

CREATE POLICY platform_access ON nebula.audit_block TO nebula_platform USING (true) WITH CHECK (true);

CREATE POLICY platform_access ON nebula.audit_erasure TO nebula_platform USING (true) WITH CHECK (true);

CREATE POLICY platform_access ON nebula.audit_log TO nebula_platform USING (true) WITH CHECK (true);

CREATE POLICY platform_access ON nebula.audit_log_default TO nebula_platform USING (true) WITH CHECK (true);

CREATE POLICY platform_access ON nebula.audit_segment TO nebula_platform USING (true) WITH CHECK (true);

CREATE POLICY platform_access ON nebula.export_job TO nebula_platform USING (true) WITH CHECK (true);

CREATE POLICY platform_access ON nebula."group" TO nebula_platform USING (true) WITH CHECK (true);

CREATE POLICY platform_access ON nebula.group_permission TO nebula_platform USING (true) WITH CHECK (true);

CREATE POLICY platform_access ON nebula.idempotency_key TO nebula_platform USING (true) WITH CHECK (true);

CREATE POLICY platform_access ON nebula.integration_credential TO nebula_platform USING (true) WITH CHECK (true);

CREATE POLICY platform_access ON nebula.invite TO nebula_platform USING (true) WITH CHECK (true);

CREATE POLICY platform_access ON nebula.outbox TO nebula_platform USING (true) WITH CHECK (true);

CREATE POLICY platform_access ON nebula.outbox_finished TO nebula_platform USING (true) WITH CHECK (true);

CREATE POLICY platform_access ON nebula.outbox_finished_default TO nebula_platform USING (true) WITH CHECK (true);

CREATE POLICY platform_access ON nebula.outbox_live TO nebula_platform USING (true) WITH CHECK (true);

CREATE POLICY platform_access ON nebula.permission_usage TO nebula_platform USING (true) WITH CHECK (true);

CREATE POLICY platform_access ON nebula.quota_usage TO nebula_platform USING (true) WITH CHECK (true);

CREATE POLICY platform_access ON nebula.refresh_token TO nebula_platform USING (true) WITH CHECK (true);

CREATE POLICY platform_access ON nebula.revoked_token TO nebula_platform USING (true) WITH CHECK (true);

CREATE POLICY platform_access ON nebula.role_binding TO nebula_platform USING (true) WITH CHECK (true);

CREATE POLICY platform_access ON nebula.seed_history TO nebula_platform USING (true) WITH CHECK (true);

CREATE POLICY platform_access ON nebula.session TO nebula_platform USING (true) WITH CHECK (true);

CREATE POLICY platform_access ON nebula.tenant TO nebula_platform USING (true) WITH CHECK (true);

CREATE POLICY platform_access ON nebula.tenant_branding TO nebula_platform USING (true) WITH CHECK (true);

CREATE POLICY platform_access ON nebula.tenant_config TO nebula_platform USING (true) WITH CHECK (true);

CREATE POLICY platform_access ON nebula.tenant_package TO nebula_platform USING (true) WITH CHECK (true);

CREATE POLICY platform_access ON nebula.tenant_tool_override TO nebula_platform USING (true) WITH CHECK (true);

CREATE POLICY platform_access ON nebula.usage_metrics TO nebula_platform USING (true) WITH CHECK (true);

CREATE POLICY platform_access ON nebula.usage_metrics_default TO nebula_platform USING (true) WITH CHECK (true);

CREATE POLICY platform_access ON nebula."user" TO nebula_platform USING (true) WITH CHECK (true);

CREATE POLICY platform_access ON nebula.user_group TO nebula_platform USING (true) WITH CHECK (true);

CREATE POLICY platform_access ON nebula.user_secret TO nebula_platform USING (true) WITH CHECK (true);

CREATE POLICY platform_access ON nebula.webhook_delivery TO nebula_platform USING (true) WITH CHECK (true);

CREATE POLICY platform_access ON nebula.webhook_delivery_default TO nebula_platform USING (true) WITH CHECK (true);

CREATE POLICY platform_access ON nebula.webhook_subscription TO nebula_platform USING (true) WITH CHECK (true);

ALTER TABLE nebula.quota_usage ENABLE ROW LEVEL SECURITY;

ALTER TABLE nebula.refresh_token ENABLE ROW LEVEL SECURITY;

ALTER TABLE nebula.revoked_token ENABLE ROW LEVEL SECURITY;

ALTER TABLE nebula.role_binding ENABLE ROW LEVEL SECURITY;

ALTER TABLE nebula.seed_history ENABLE ROW LEVEL SECURITY;

ALTER TABLE nebula.session ENABLE ROW LEVEL SECURITY;

ALTER TABLE nebula.tenant ENABLE ROW LEVEL SECURITY;

ALTER TABLE nebula.tenant_branding ENABLE ROW LEVEL SECURITY;

ALTER TABLE nebula.tenant_config ENABLE ROW LEVEL SECURITY;

CREATE POLICY tenant_isolation ON nebula.api_key USING ((tenant_id = nebula.current_tenant())) WITH CHECK ((tenant_id = nebula.current_tenant()));

CREATE POLICY tenant_isolation ON nebula.api_key_action USING ((tenant_id = nebula.current_tenant())) WITH CHECK ((tenant_id = nebula.current_tenant()));

CREATE POLICY tenant_isolation ON nebula.archive USING ((tenant_id = nebula.current_tenant())) WITH CHECK ((tenant_id = nebula.current_tenant()));

CREATE POLICY tenant_isolation ON nebula.audit_block USING ((tenant_id = nebula.current_tenant())) WITH CHECK ((tenant_id = nebula.current_tenant()));

CREATE POLICY tenant_isolation ON nebula.audit_erasure USING ((tenant_id = nebula.current_tenant())) WITH CHECK ((tenant_id = nebula.current_tenant()));

CREATE POLICY tenant_isolation ON nebula.audit_log USING ((tenant_id = nebula.current_tenant())) WITH CHECK ((tenant_id = nebula.current_tenant()));

CREATE POLICY tenant_isolation ON nebula.audit_log_default USING ((tenant_id = nebula.current_tenant())) WITH CHECK ((tenant_id = nebula.current_tenant()));

CREATE POLICY tenant_isolation ON nebula.audit_segment USING ((tenant_id = nebula.current_tenant())) WITH CHECK ((tenant_id = nebula.current_tenant()));

CREATE POLICY tenant_isolation ON nebula.export_job USING ((tenant_id = nebula.current_tenant())) WITH CHECK ((tenant_id = nebula.current_tenant()));

CREATE POLICY tenant_isolation ON nebula."group" USING ((tenant_id = nebula.current_tenant())) WITH CHECK ((tenant_id = nebula.current_tenant()));

CREATE POLICY tenant_isolation ON nebula.group_permission USING ((tenant_id = nebula.current_tenant())) WITH CHECK ((tenant_id = nebula.current_tenant()));

CREATE POLICY tenant_isolation ON nebula.idempotency_key USING ((tenant_id = nebula.current_tenant())) WITH CHECK ((tenant_id = nebula.current_tenant()));

CREATE POLICY tenant_isolation ON nebula.integration_credential USING ((tenant_id = nebula.current_tenant())) WITH CHECK ((tenant_id = nebula.current_tenant()));

CREATE POLICY tenant_isolation ON nebula.invite USING ((tenant_id = nebula.current_tenant())) WITH CHECK ((tenant_id = nebula.current_tenant()));

CREATE POLICY tenant_isolation ON nebula.outbox USING ((tenant_id = nebula.current_tenant())) WITH CHECK ((tenant_id = nebula.current_tenant()));

CREATE POLICY tenant_isolation ON nebula.outbox_finished USING ((tenant_id = nebula.current_tenant())) WITH CHECK ((tenant_id = nebula.current_tenant()));

CREATE POLICY tenant_isolation ON nebula.outbox_finished_default USING ((tenant_id = nebula.current_tenant())) WITH CHECK ((tenant_id = nebula.current_tenant()));

CREATE POLICY tenant_isolation ON nebula.outbox_live USING ((tenant_id = nebula.current_tenant())) WITH CHECK ((tenant_id = nebula.current_tenant()));

CREATE POLICY tenant_isolation ON nebula.permission_usage USING ((tenant_id = nebula.current_tenant())) WITH CHECK ((tenant_id = nebula.current_tenant()));

CREATE POLICY tenant_isolation ON nebula.quota_usage USING ((tenant_id = nebula.current_tenant())) WITH CHECK ((tenant_id = nebula.current_tenant()));

CREATE POLICY tenant_isolation ON nebula.refresh_token USING ((tenant_id = nebula.current_tenant())) WITH CHECK ((tenant_id = nebula.current_tenant()));

CREATE POLICY tenant_isolation ON nebula.revoked_token USING ((tenant_id = nebula.current_tenant())) WITH CHECK ((tenant_id = nebula.current_tenant()));

CREATE POLICY tenant_isolation ON nebula.role_binding USING ((tenant_id = nebula.current_tenant())) WITH CHECK ((tenant_id = nebula.current_tenant()));

CREATE POLICY tenant_isolation ON nebula.seed_history USING ((tenant_id = nebula.current_tenant())) WITH CHECK ((tenant_id = nebula.current_tenant()));

CREATE POLICY tenant_isolation ON nebula.session USING ((tenant_id = nebula.current_tenant())) WITH CHECK ((tenant_id = nebula.current_tenant()));

CREATE POLICY tenant_isolation ON nebula.tenant USING ((id = nebula.current_tenant())) WITH CHECK ((id = nebula.current_tenant()));

CREATE POLICY tenant_isolation ON nebula.tenant_branding USING ((tenant_id = nebula.current_tenant())) WITH CHECK ((tenant_id = nebula.current_tenant()));

CREATE POLICY tenant_isolation ON nebula.tenant_config USING ((tenant_id = nebula.current_tenant())) WITH CHECK ((tenant_id = nebula.current_tenant()));

CREATE POLICY tenant_isolation ON nebula.tenant_package USING ((tenant_id = nebula.current_tenant())) WITH CHECK ((tenant_id = nebula.current_tenant()));

CREATE POLICY tenant_isolation ON nebula.tenant_tool_override USING ((tenant_id = nebula.current_tenant())) WITH CHECK ((tenant_id = nebula.current_tenant()));

CREATE POLICY tenant_isolation ON nebula.usage_metrics USING ((tenant_id = nebula.current_tenant())) WITH CHECK ((tenant_id = nebula.current_tenant()));

CREATE POLICY tenant_isolation ON nebula.usage_metrics_default USING ((tenant_id = nebula.current_tenant())) WITH CHECK ((tenant_id = nebula.current_tenant()));

CREATE POLICY tenant_isolation ON nebula."user" USING ((tenant_id = nebula.current_tenant())) WITH CHECK ((tenant_id = nebula.current_tenant()));

CREATE POLICY tenant_isolation ON nebula.user_group USING ((tenant_id = nebula.current_tenant())) WITH CHECK ((tenant_id = nebula.current_tenant()));

CREATE POLICY tenant_isolation ON nebula.user_secret USING ((tenant_id = nebula.current_tenant())) WITH CHECK ((tenant_id = nebula.current_tenant()));

CREATE POLICY tenant_isolation ON nebula.webhook_delivery USING ((tenant_id = nebula.current_tenant())) WITH CHECK ((tenant_id = nebula.current_tenant()));

CREATE POLICY tenant_isolation ON nebula.webhook_delivery_default USING ((tenant_id = nebula.current_tenant())) WITH CHECK ((tenant_id = nebula.current_tenant()));

CREATE POLICY tenant_isolation ON nebula.webhook_subscription USING ((tenant_id = nebula.current_tenant())) WITH CHECK ((tenant_id = nebula.current_tenant()));

ALTER TABLE nebula.tenant_package ENABLE ROW LEVEL SECURITY;

ALTER TABLE nebula.tenant_tool_override ENABLE ROW LEVEL SECURITY;

ALTER TABLE nebula.usage_metrics ENABLE ROW LEVEL SECURITY;

ALTER TABLE nebula.usage_metrics_default ENABLE ROW LEVEL SECURITY;

ALTER TABLE nebula."user" ENABLE ROW LEVEL SECURITY;

ALTER TABLE nebula.user_group ENABLE ROW LEVEL SECURITY;

ALTER TABLE nebula.user_secret ENABLE ROW LEVEL SECURITY;

ALTER TABLE nebula.webhook_delivery ENABLE ROW LEVEL SECURITY;

ALTER TABLE nebula.webhook_delivery_default ENABLE ROW LEVEL SECURITY;

ALTER TABLE nebula.webhook_subscription ENABLE ROW LEVEL SECURITY;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula.api_key TO nebula_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula.api_key_action TO nebula_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula.archive TO nebula_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula.audit_block TO nebula_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula.audit_erasure TO nebula_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula.audit_key TO nebula_platform;

REVOKE ALL ON TABLE nebula.audit_log FROM nebula_owner;
GRANT SELECT,INSERT,REFERENCES,TRIGGER ON TABLE nebula.audit_log TO nebula_owner;
GRANT SELECT,INSERT ON TABLE nebula.audit_log TO nebula_platform;

GRANT UPDATE(ip) ON TABLE nebula.audit_log TO nebula_platform;

GRANT UPDATE(user_agent) ON TABLE nebula.audit_log TO nebula_platform;

REVOKE ALL ON TABLE nebula.audit_log_default FROM nebula_owner;
GRANT SELECT,INSERT,REFERENCES,TRIGGER ON TABLE nebula.audit_log_default TO nebula_owner;
GRANT SELECT ON TABLE nebula.audit_log_default TO nebula_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula.audit_segment TO nebula_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula.audit_watermark TO nebula_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula.delivery_place TO nebula_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula.export_job TO nebula_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula.gathered_usage TO nebula_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula."group" TO nebula_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula.group_permission TO nebula_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula.idempotency_key TO nebula_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula.installation TO nebula_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula.integration_credential TO nebula_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula.invite TO nebula_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula.login_failure TO nebula_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula.operation TO nebula_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula.operation_version TO nebula_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula.operational_profile TO nebula_platform;

GRANT USAGE ON SEQUENCE nebula.outbox_position_seq TO nebula_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula.outbox TO nebula_platform;

GRANT SELECT,USAGE ON SEQUENCE nebula.outbox_dead_seq TO nebula_platform;

REVOKE ALL ON TABLE nebula.outbox_finished FROM nebula_owner;
GRANT SELECT,INSERT,REFERENCES,TRIGGER ON TABLE nebula.outbox_finished TO nebula_owner;
GRANT SELECT ON TABLE nebula.outbox_finished TO nebula_platform;

REVOKE ALL ON TABLE nebula.outbox_finished_default FROM nebula_owner;
GRANT SELECT,INSERT,REFERENCES,TRIGGER ON TABLE nebula.outbox_finished_default TO nebula_owner;
GRANT SELECT ON TABLE nebula.outbox_finished_default TO nebula_platform;

REVOKE ALL ON TABLE nebula.outbox_live FROM nebula_owner;
GRANT SELECT,INSERT,REFERENCES,TRIGGER ON TABLE nebula.outbox_live TO nebula_owner;
GRANT SELECT,DELETE,UPDATE ON TABLE nebula.outbox_live TO nebula_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula.package TO nebula_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula.package_action TO nebula_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula.permission_usage TO nebula_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula.protected_table TO nebula_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula.quota_usage TO nebula_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula.rate_limit TO nebula_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula.refresh_token TO nebula_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula.revoked_token TO nebula_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula.rights_sentinel TO nebula_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula.role_binding TO nebula_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula.schema_migration TO nebula_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula.sealing_key TO nebula_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula.seed_history TO nebula_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula.session TO nebula_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula.signing_key TO nebula_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula.task TO nebula_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula.tenant TO nebula_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula.tenant_branding TO nebula_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula.tenant_config TO nebula_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula.tenant_package TO nebula_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula.tenant_tool_override TO nebula_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula.tool TO nebula_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula.tool_action TO nebula_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula.usage_metrics TO nebula_platform;

REVOKE ALL ON TABLE nebula.usage_metrics_default FROM nebula_owner;
GRANT SELECT,INSERT,REFERENCES,TRIGGER ON TABLE nebula.usage_metrics_default TO nebula_owner;
GRANT SELECT ON TABLE nebula.usage_metrics_default TO nebula_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula."user" TO nebula_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula.user_group TO nebula_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula.user_secret TO nebula_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula.webhook_delivery TO nebula_platform;

REVOKE ALL ON TABLE nebula.webhook_delivery_default FROM nebula_owner;
GRANT SELECT,INSERT,REFERENCES,TRIGGER ON TABLE nebula.webhook_delivery_default TO nebula_owner;
GRANT SELECT ON TABLE nebula.webhook_delivery_default TO nebula_platform;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE nebula.webhook_subscription TO nebula_platform;

