-- Other issuers of tokens: OpenID providers, Supabase Auth.

create table nebula.issuer (
  id uuid not null default nebula.uuid_v7(),
  issuer text not null,
  audience text not null,
  jwks_url text,
  algorithms text[] not null,
  tenant_claim text,
  -- Not `tenant_id`: the row is the installation's and not this tenant's.
  fixed_tenant_id uuid,
  email_claim text not null default 'email',
  email_verified_claim text,
  trusts_email boolean not null default false,
  max_lifetime_seconds integer not null default 86400,
  status nebula.status not null default 'ativo',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint pk_issuer primary key (id),
  constraint uq_issuer_issuer unique (issuer),
  constraint ck_issuer_issuer check (length(issuer) between 1 and 255),
  constraint ck_issuer_reserved check (issuer <> 'internal'),
  constraint ck_issuer_audience check (length(audience) between 1 and 255),
  constraint ck_issuer_jwks_url check (jwks_url ~ '^https?://' and length(jwks_url) <= 2000),
  constraint ck_issuer_algorithms check (cardinality(algorithms) > 0 and algorithms <@ array['RS256', 'ES256', 'EdDSA', 'HS256']),
  constraint ck_issuer_tenant check ((tenant_claim is null) <> (fixed_tenant_id is null)),
  constraint ck_issuer_email check (email_verified_claim is null or not trusts_email),
  constraint ck_issuer_max_lifetime_seconds check (max_lifetime_seconds between 60 and 604800)
);
comment on table nebula.issuer is 'Who else may say who somebody is. Only nebula_owner''s functions read it; a DBA registers, the edge''s login can''t.';
comment on column nebula.issuer.issuer is 'The exact value of `iss`; `user.auth_provider` of the people it speaks for.';
comment on column nebula.issuer.audience is 'What `aud` must be or contain.';
comment on column nebula.issuer.jwks_url is 'Where it publishes its keys; the edge fetches from here and from nowhere else. Null: keys are registered by hand.';
comment on column nebula.issuer.algorithms is 'What its signatures may be made with; a key verifies its own algorithm alone.';
comment on column nebula.issuer.tenant_claim is 'The claim that holds the tenant''s id, as names joined by dots.';
comment on column nebula.issuer.fixed_tenant_id is 'The tenant of everybody whom it speaks for. No foreign key: global tables reference no tenant (Citus).';
comment on column nebula.issuer.email_claim is 'The claim that holds the e-mail address.';
comment on column nebula.issuer.email_verified_claim is 'The claim that is true where the address was verified.';
comment on column nebula.issuer.trusts_email is 'It verifies every address before it names it.';
comment on column nebula.issuer.max_lifetime_seconds is 'The longest life of its tokens.';
comment on constraint ck_issuer_reserved on nebula.issuer is 'internal is what user.auth_provider says of people who have a password here.';
comment on constraint ck_issuer_tenant on nebula.issuer is 'The tenant comes from the token or is always the same, never from a request.';
comment on constraint ck_issuer_email on nebula.issuer is 'Verified where a claim says so, or always, or (neither) never.';
select nebula.govern_table('nebula.issuer', decides_rights => true);

create table nebula.issuer_key (
  id uuid not null default nebula.uuid_v7(),
  issuer_id uuid not null,
  kid text,
  alg text not null,
  public_key bytea,
  secret bytea,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint pk_issuer_key primary key (id),
  constraint uq_issuer_key_issuer_id_kid unique (issuer_id, kid),
  constraint fk_issuer_key_issuer_id foreign key (issuer_id) references nebula.issuer (id),
  constraint ck_issuer_key_alg check (alg in ('RS256', 'ES256', 'EdDSA', 'HS256')),
  constraint ck_issuer_key_kid check (length(kid) between 1 and 255),
  constraint ck_issuer_key_public_key check ((alg <> 'HS256') = (public_key is not null and kid is not null)),
  constraint ck_issuer_key_secret check ((alg = 'HS256') = (secret is not null and kid is null) and octet_length(secret) between 32 and 1024)
);
comment on table nebula.issuer_key is 'What other issuers'' signatures are verified with.';
comment on column nebula.issuer_key.public_key is 'DER SubjectPublicKeyInfo: RSA of at least 2048 bits, P-256 or Ed25519.';
comment on column nebula.issuer_key.secret is
  'The secret that is shared with the issuer: whoever reads it can sign for everybody whom it speaks for. It stands in dumps.';
comment on constraint ck_issuer_key_public_key on nebula.issuer_key is 'No algorithm but HS256 goes without a named public key.';
comment on constraint ck_issuer_key_secret on nebula.issuer_key is 'HS256 and nothing else has a secret, of as many bits as its hash at least (RFC 7518, section 3.2).';
create unique index uq_issuer_key_secret on nebula.issuer_key (issuer_id) where kid is null;
comment on index nebula.uq_issuer_key_secret is 'An issuer has one secret.';
select nebula.govern_table('nebula.issuer_key', decides_rights => true);

-- Functions that cross tenants have no business with secrets.
revoke all on nebula.issuer, nebula.issuer_key from nebula_platform;
