-- Logins.

create table nebula.session (
  id uuid not null default nebula.uuid_v7(),
  tenant_id uuid not null,
  user_id uuid not null,
  ip inet,
  user_agent text,
  last_used_at timestamptz not null default now(),
  expires_at timestamptz not null,
  revoked_at timestamptz,
  revoked_reason text,
  created_at timestamptz not null default now(),
  constraint pk_session primary key (tenant_id, id),
  constraint fk_session_user_id foreign key (tenant_id, user_id) references nebula.user (tenant_id, id),
  constraint ck_session_revoked_reason check (revoked_reason in ('logout', 'reuse', 'password', 'user', 'admin'))
);
comment on table nebula.session is 'A login: a family of refresh tokens and of the access tokens that were made with them.';
comment on column nebula.session.ip is 'Personal. Where the login came from.';
comment on column nebula.session.user_agent is 'Personal.';
comment on column nebula.session.revoked_reason is 'logout, reuse (of a rotated refresh token), password (changed), user (suspended), admin.';
comment on column nebula.session.revoked_at is 'From then on neither its refresh tokens nor its access tokens count.';
create index idx_session_user_id on nebula.session (tenant_id, user_id, created_at, id);
select nebula.govern_tenant_table('nebula.session', audited => false);

create table nebula.refresh_token (
  id uuid not null default nebula.uuid_v7(),
  tenant_id uuid not null,
  session_id uuid not null,
  hash bytea not null,
  jti uuid not null,
  expires_at timestamptz not null,
  revoked_at timestamptz,
  replaced_by uuid,
  created_at timestamptz not null default now(),
  constraint pk_refresh_token primary key (tenant_id, id),
  constraint fk_refresh_token_session_id foreign key (tenant_id, session_id) references nebula.session (tenant_id, id),
  constraint fk_refresh_token_replaced_by foreign key (tenant_id, replaced_by) references nebula.refresh_token (tenant_id, id),
  constraint ck_refresh_token_hash check (octet_length(hash) = 32)
);
comment on table nebula.refresh_token is 'A one-time token that continues a session.';
comment on column nebula.refresh_token.hash is 'SHA-256 of the secret.';
comment on column nebula.refresh_token.jti is 'The access token that was made beside it.';
comment on column nebula.refresh_token.revoked_at is 'When it was rotated or its family ended.';
comment on column nebula.refresh_token.replaced_by is 'Its successor; use after that, outside the retry window, is reuse.';
create index idx_refresh_token_session_id on nebula.refresh_token (tenant_id, session_id);
create index idx_refresh_token_replaced_by on nebula.refresh_token (tenant_id, replaced_by);
select nebula.govern_tenant_table('nebula.refresh_token', audited => false);

create table nebula.revoked_token (
  id uuid not null default nebula.uuid_v7(),
  tenant_id uuid not null,
  jti uuid not null,
  expires_at timestamptz not null,
  created_at timestamptz not null default now(),
  constraint pk_revoked_token primary key (tenant_id, id),
  constraint uq_revoked_token_tenant_id_jti unique (tenant_id, jti),
  constraint fk_revoked_token_tenant_id foreign key (tenant_id) references nebula.tenant (id)
);
comment on table nebula.revoked_token is 'Access tokens that ended before they expired.';
select nebula.govern_tenant_table('nebula.revoked_token', audited => false);

create table nebula.invite (
  id uuid not null default nebula.uuid_v7(),
  tenant_id uuid not null,
  user_id uuid not null,
  purpose text not null default 'invite',
  hash bytea not null,
  expires_at timestamptz not null,
  used_at timestamptz,
  made_by_user_id uuid,
  made_by_api_key_id uuid,
  created_at timestamptz not null default now(),
  constraint pk_invite primary key (tenant_id, id),
  constraint fk_invite_user_id foreign key (tenant_id, user_id) references nebula.user (tenant_id, id),
  constraint fk_invite_made_by_user_id foreign key (tenant_id, made_by_user_id) references nebula.user (tenant_id, id),
  constraint fk_invite_made_by_api_key_id foreign key (tenant_id, made_by_api_key_id) references nebula.api_key (tenant_id, id),
  constraint ck_invite_purpose check (purpose in ('invite', 'reset')),
  constraint ck_invite_hash check (octet_length(hash) = 32)
);
comment on table nebula.invite is 'A one-time token with which a person sets a password.';
comment on column nebula.invite.purpose is 'invite (first password) or reset.';
comment on column nebula.invite.hash is 'SHA-256 of the secret.';
comment on column nebula.invite.made_by_user_id is 'Who made it: they must hold what the person holds when it is used, not only when it was made.';
comment on column nebula.invite.made_by_api_key_id is 'The same for a service account. Both null: the platform, at onboarding.';
create index idx_invite_user_id on nebula.invite (tenant_id, user_id);
create index idx_invite_made_by_user_id on nebula.invite (tenant_id, made_by_user_id);
create index idx_invite_made_by_api_key_id on nebula.invite (tenant_id, made_by_api_key_id);
select nebula.govern_tenant_table('nebula.invite');

create table nebula.signing_key (
  kid text not null,
  alg text not null default 'RS256',
  public_key bytea not null,
  status text not null default 'active',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint pk_signing_key primary key (kid),
  constraint ck_signing_key_alg check (alg = 'RS256'),
  constraint ck_signing_key_status check (status in ('active', 'retiring', 'revoked')),
  constraint ck_signing_key_kid check (length(kid) between 1 and 128)
);
comment on table nebula.signing_key is 'Public keys that access tokens are verified with. Only a DBA registers them: the edge''s login can''t.';
comment on column nebula.signing_key.public_key is 'DER SubjectPublicKeyInfo, RSA of at least 2048 bits.';
comment on column nebula.signing_key.status is 'active (signs and verifies), retiring (verifies what it signed), revoked (nothing).';
select nebula.govern_table('nebula.signing_key', decides_rights => true);
