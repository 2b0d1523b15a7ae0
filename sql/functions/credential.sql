-- Sealed secrets: which key is which version, sealing anew, and what is revealed to whom. Behaviour: extension/src/entry/credential.rs.

-- ---- The DBA

create function nebula.register_sealing_key(version integer, fingerprint bytea) returns boolean
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'register_sealing_key_wrapper';
comment on function nebula.register_sealing_key(integer, bytea) is
  'Registers which key a version of the sealing keys is; false if it is registered as another one. Edges and workers use registered keys alone.';

create function nebula.sealed_row_counts() returns table (version integer, row_count bigint)
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'sealed_row_counts_wrapper';
comment on function nebula.sealed_row_counts() is 'How many values each version of the sealing keys still seals: one that seals none is needed no more.';

-- ---- The worker

create function nebula.sealing_keys() returns table (version integer, fingerprint bytea)
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'sealing_keys_wrapper';
comment on function nebula.sealing_keys() is 'The registered sealing keys, by number and fingerprint.';

create function nebula.sealed_rows(source text, below_version integer, after_tenant uuid, after_id uuid, "limit" integer)
returns table (tenant_id uuid, id uuid, key_version integer, sealed bytea)
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'sealed_rows_wrapper';
comment on function nebula.sealed_rows(text, integer, uuid, uuid, integer) is
  'The next values of a column (table.column) that an older key than this has sealed, after a tenant''s row, at most 1000.';

create function nebula.reseal(source text, tenant uuid, id uuid, old_version integer, old_sealed bytea, new_version integer, new_sealed bytea) returns boolean
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'reseal_wrapper';
comment on function nebula.reseal(text, uuid, uuid, integer, bytea, integer, bytea) is
  'Puts a value that was sealed anew into its place; false, and nothing is changed, where the place holds another one by now.';

create function nebula.reveal_credential(tenant uuid, id uuid, provider text, name text, purpose text, worker text)
returns table (outcome text, credential_id uuid, sealed bytea, key_version integer)
language c volatile parallel unsafe security definer rows 1 set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'reveal_credential_wrapper';
comment on function nebula.reveal_credential(uuid, uuid, text, text, text, text) is
  'A tenant''s credential, sealed, by id or by provider and name; in the same transaction the tenant''s audit log tells who got it, and what for.';
