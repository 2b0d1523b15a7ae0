-- A login of the administrator of each of the first so many tenants, without passwords: its refresh token's tenant, id and secret. Variable: logins.
\set ON_ERROR_STOP on
set synchronous_commit = off;
begin;
create temporary table opened as
  select u.tenant_id, u.id as user_id, nebula.uuid_v7() as session_id, nebula.uuid_v7() as token_id, nebula.random_bytes(32) as secret
  from generate_series(1, :logins) n
  join nebula.tenant t on t.slug = 'bench-' || n
  join nebula.user u on u.tenant_id = t.id and (lower(u.email)) collate "C" = 'admin@bench.test';
insert into nebula.session (id, tenant_id, user_id, ip, user_agent, expires_at)
select session_id, tenant_id, user_id, '203.0.113.7', 'bench/1.0', now() + interval '30 days' from opened;
insert into nebula.refresh_token (id, tenant_id, session_id, hash, jti, expires_at)
select token_id, tenant_id, session_id, sha256(secret), nebula.uuid_v7(), now() + interval '30 days' from opened;
commit;
copy (select tenant_id, token_id, encode(secret, 'hex') from opened) to stdout;
