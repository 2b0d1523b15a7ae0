-- What SQL callers call. Errors are raised here, outside of Rust, since pgrx would replace their SQLSTATE (pitfalls): PTnnn is what PostgREST turns
-- into HTTP status nnn; DETAIL is {"code", "details"}.

create function nebula.call(action text, input jsonb default '{}', idempotency_key text default null) returns jsonb
language plpgsql
volatile
parallel unsafe
set search_path = pg_catalog, pg_temp
as $$
declare
  answer record;
begin
  if action is null or jsonb_typeof(input) is distinct from 'object' then
    raise exception using
      errcode = 'PT400',
      message = 'Os dados enviados são inválidos.',
      detail = '{"code":"VALIDATION_ERROR","details":[{"field":"input","rule":"type"}]}';
  end if;
  select d.status, d.body, d.code, d.details into answer from nebula.dispatch(action, input::json, idempotency_key) d;
  if answer.code is not null then
    raise exception using
      errcode = 'PT' || answer.status,
      message = answer.body #>> '{}',
      detail = json_build_object('code', answer.code, 'details', answer.details)::text;
  end if;
  return answer.body::jsonb;
end
$$;
comment on function nebula.call(text, jsonb, text) is
  'Does an operation as the SQL caller, by the rules of the REST API: {"data", "meta"?}. Errors: SQLSTATE PTnnn, DETAIL {"code", "details"}.';
