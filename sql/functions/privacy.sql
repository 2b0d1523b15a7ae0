-- Anonymising again what a restored backup has brought back. Behaviour: extension/src/entry/privacy.rs.

create function nebula.anonymize_again(tenant uuid, "user" uuid) returns text
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'anonymize_again_wrapper';
comment on function nebula.anonymize_again(uuid, uuid) is
  'Anonymises somebody who was anonymised before: anonymized, already (nothing was to be done) or unknown. For what a restored backup has brought back.';

create function nebula.is_erasing() returns boolean
language c volatile strict parallel unsafe as 'MODULE_PATHNAME', 'is_erasing_wrapper';
comment on function nebula.is_erasing() is 'Whether this backend is anonymising somebody now, from backend memory that no statement can set.';

create function nebula.refuse_change_but_erasure() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  old.ip := null;
  old.user_agent := null;
  if current_user = 'nebula_platform' and nebula.is_erasing() and new is not distinct from old then
    return new;
  end if;
  raise exception 'rows of %.% are never changed', tg_table_schema, tg_table_name
    using errcode = 'insufficient_privilege';
end
$$;
comment on function nebula.refuse_change_but_erasure() is
  'Trigger: refuses every update of the audit log but one: anonymising takes address and user agent away (docs/decisions/0015-erasure-in-the-audit-log.md).';
