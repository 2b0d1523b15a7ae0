-- SQL functions as governed operations. Behaviour: extension/src/platform/expose.rs.

create function nebula.expose(
  function regprocedure,
  action text,
  method text,
  path text,
  kind text default null,
  tool text default null,
  package text default null,
  success integer default null,
  summary_pt text default null,
  summary_en text default null,
  per_minute integer default null,
  per_month integer default null,
  max_rows integer default null,
  event text default null,
  deprecated_at timestamptz default null,
  sunset_at timestamptz default null
) returns json
language c volatile parallel unsafe as 'MODULE_PATHNAME', 'expose_wrapper';
comment on function nebula.expose(regprocedure, text, text, text, text, text, text, integer, text, text, integer, integer, integer, text, timestamptz, timestamptz) is
  'Makes a function an operation: route, permission, idempotency, limits, audit, OpenAPI. For the function''s owner. Returns the route; the same again changes nothing (docs/expose.md).';

create function nebula.unexpose(action text default null, method text default null, path text default null) returns integer
language c volatile parallel unsafe as 'MODULE_PATHNAME', 'unexpose_wrapper';
comment on function nebula.unexpose(text, text, text) is
  'Takes an action''s routes away, or one route; how many there were. The action stays in the catalog, suspended if nebula.expose made it.';

-- Called by the library alone, as the unprivileged role, past its privileges: whoever could execute it would run any statement as a role whose word counts.
-- Not a definer function: what it runs must not have its owner's rights. The exception block is the subtransaction in which the function runs.
create function nebula.run_exposed(
  statement text,
  arguments text[],
  path text,
  is_read boolean,
  max_rows bigint,
  max_bytes integer,
  is_missing_if_null boolean
) returns text[]
language plpgsql
volatile
parallel unsafe
set search_path = pg_catalog, pg_temp
as $$
declare
  answer text;
  row_count bigint;
  state text;
  detail text;
  domain text;
  message text;
begin
  -- Everything here is qualified, or found in pg_catalog first: the path is the function's.
  perform pg_catalog.set_config('search_path', path, true);
  -- What is deferred would be checked at commit, as the session's login and without a caller.
  set constraints all immediate;
  if is_read then
    -- For this subtransaction; nothing inside can take it back.
    perform pg_catalog.set_config('transaction_read_only', 'on', true);
  end if;
  execute statement into answer, row_count using arguments;
  if row_count > max_rows then
    raise exception using errcode = 'NB001';
  elsif pg_catalog.octet_length(answer) > max_bytes then
    raise exception using errcode = 'NB002';
  elsif answer is null and is_missing_if_null then
    raise exception using errcode = 'P0002';
  end if;
  return array[answer, null, null, null, null];
exception
  -- A cancel is none of these: it ends the request.
  when others then
    get stacked diagnostics state = returned_sqlstate, detail = pg_exception_detail, domain = pg_datatype_name, message = message_text;
    return array[
      null, state, detail, nullif(domain, ''),
      -- The other classes' texts quote data.
      case when pg_catalog.left(state, 2) = '42' then message end
    ];
end
$$;
comment on function nebula.run_exposed(text, text[], text, boolean, bigint, integer, boolean) is
  'Runs the statement of an exposed function in a subtransaction: {answer, SQLSTATE, detail, domain, message}. Nobody may execute it; the library calls it.';
