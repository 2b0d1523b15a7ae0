-- Supabase: its Auth's hook, PostgREST's pre-request, and how far PostgREST is believed. Behaviour: extension/src/entry/supabase.rs.

-- ---- The DBA

create function nebula.set_postgrest_trust(trust text) returns boolean
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'set_postgrest_trust_wrapper';
comment on function nebula.set_postgrest_trust(text) is
  'What is believed in the sessions of PostgREST''s login: claims (what it says of the token) or token (the bearer''s token or API key in request.headers, verified again). From the next statement on; false if it is that already.';

-- ---- Supabase Auth

create function nebula.access_token_claims(event json) returns json
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'access_token_claims_wrapper';
comment on function nebula.access_token_claims(json) is
  'What nebula.custom_access_token_hook() adds to the claims of an event: [{"path", "value"}]; null for who belongs to no tenant that is meant.';

-- Whatever goes wrong is caught: an error would refuse the login, and every login after it. GoTrue cancels after two seconds; waiting for locks ends long before.
create function nebula.custom_access_token_hook(event jsonb) returns jsonb
language plpgsql
volatile
parallel unsafe
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
set lock_timeout = '100ms'
set jit = off
set enable_seqscan = off
set enable_sort = off
as $$
declare
  claims jsonb := event -> 'claims';
  addition json;
begin
  if jsonb_typeof(claims) is distinct from 'object' then
    return event;
  end if;
  for addition in select a from json_array_elements(nebula.access_token_claims(event::json)) a loop
    claims := jsonb_set(claims, array(select json_array_elements_text(addition -> 'path')), (addition -> 'value')::jsonb);
  end loop;
  return jsonb_build_object('claims', claims);
exception
  when query_canceled or assert_failure or others then
    -- Not the message: it may hold what the event holds.
    raise warning 'nebula.custom_access_token_hook: % (the token stays as it was)', sqlstate;
    return event;
end
$$;
comment on function nebula.custom_access_token_hook(jsonb) is
  'Supabase Auth''s custom access token hook: adds tenantId, nebulaUserId and groups to the claims of a person of one active tenant, or of the one in app_metadata.tenant_id. Never fails: anything odd leaves the claims as they are.';

-- ---- PostgREST

create function nebula.caller_refusal() returns table (status integer, message text, code text, details json)
language c volatile strict parallel unsafe rows 1 as 'MODULE_PATHNAME', 'caller_refusal_wrapper';
comment on function nebula.caller_refusal() is 'What nebula.pre_request() raises, as values: no row where the request may go on.';

create function nebula.pre_request() returns void
language plpgsql
volatile
parallel unsafe
set search_path = pg_catalog, pg_temp
as $$
declare
  refusal record;
begin
  select r.status, r.message, r.code, r.details into refusal from nebula.caller_refusal() r;
  if refusal.code is not null then
    raise exception using
      errcode = 'PT' || refusal.status,
      message = refusal.message,
      detail = json_build_object('code', refusal.code, 'details', refusal.details)::text;
  end if;
end
$$;
comment on function nebula.pre_request() is
  'PostgREST''s db-pre-request: refuses a token or key that is nobody''s here, and who is suspended, before the query (SQLSTATE PTnnn, DETAIL {"code", "details"}). Requests without a person pass as nobody. Sets no header.';
