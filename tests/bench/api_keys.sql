-- An API key of each of the first so many tenants: tenant, id and secret. Variable: keys.
\set ON_ERROR_STOP on
begin;
delete from nebula.api_key where name = 'bench-memory';
create temporary table made as
  select t.id as tenant_id, nebula.uuid_v7() as id, nebula.random_bytes(32) as secret
  from generate_series(1, :keys) n
  join nebula.tenant t on t.slug = 'bench-' || n;
insert into nebula.api_key (tenant_id, id, name, role, hash) select tenant_id, id, 'bench-memory', 'admin', sha256(secret) from made;
commit;
copy (select tenant_id, id, encode(secret, 'hex') from made) to stdout;
