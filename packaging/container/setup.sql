-- What a database of containers needs before the edge is of use; run by psql at each start of a composition, and changes nothing that is as it should be.
--
-- From the environment: NEBULA_EDGE_PASSWORD, NEBULA_WORKER_PASSWORD and NEBULA_KEYS_PASSWORD; with Supabase Auth also NEBULA_AUTH_ISSUER and NEBULA_AUTH_SECRET.
\set ON_ERROR_STOP on
\set QUIET on

create extension if not exists nebula;
alter extension nebula update;
select nebula.migrate() as migrated;
select nebula.seed() as seeded;

-- Passwords must not get into the server's log, where that is this role's to say.
do $$
begin
  set log_statement = 'none';
exception
  when insufficient_privilege then null;
end
$$;
\getenv edge_password NEBULA_EDGE_PASSWORD
\getenv worker_password NEBULA_WORKER_PASSWORD
\getenv keys_password NEBULA_KEYS_PASSWORD
alter role nebula_edge password :'edge_password';
alter role nebula_worker password :'worker_password';
alter role nebula_keys password :'keys_password';

\getenv issuer NEBULA_AUTH_ISSUER
\getenv issuer_secret NEBULA_AUTH_SECRET
\if :{?issuer}
-- Whoever signs up with an address that isn't theirs must not be taken for its owner: addresses count only because the composition has them confirmed.
select nebula.register_issuer(
  json_build_object(
    'issuer', :'issuer', 'audience', 'authenticated', 'algorithms', json_build_array('HS256'), 'tenantClaim', 'tenantId', 'trustsEmail', true
  )
) as issuer_changed;
select nebula.set_issuer_secret(:'issuer', :'issuer_secret') as secret_changed;
\endif
select * from nebula.readiness();
