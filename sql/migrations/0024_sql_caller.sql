-- Who a SQL caller is: how far PostgREST is believed, and whom Supabase Auth is about to sign a token for.

alter table nebula.installation add column postgrest_trust text not null default 'claims';
comment on column nebula.installation.postgrest_trust is
  'What is believed in the sessions of PostgREST''s login: claims, or token (verified again). nebula.set_postgrest_trust() sets it.';
-- One row: it is checked in no time.
-- squawk-ignore constraint-missing-not-valid
alter table nebula.installation add constraint ck_installation_postgrest_trust check (postgrest_trust in ('claims', 'token'));

-- A person logs in before their tenant is known: these two are asked across tenants, by nebula.access_token_claims() alone. They can't be built concurrently
-- inside of nebula.migrate(): writes to people wait while a million of them are read, about a second.
-- squawk-ignore require-concurrent-index-creation
create index idx_user_external_id on nebula.user (external_id, auth_provider) where external_id is not null;
comment on index nebula.idx_user_external_id is 'The people that an issuer''s subject is linked with, of whatever tenant.';
-- squawk-ignore require-concurrent-index-creation
create index idx_user_unlinked_email on nebula.user (lower(email) collate "C") where auth_provider = 'internal' and external_id is null;
comment on index nebula.idx_user_unlinked_email is 'The people of an address who are linked with nobody yet, of whatever tenant.';
