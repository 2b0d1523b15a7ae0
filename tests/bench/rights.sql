-- In one session, as PostgREST's login. Each `name|value` line is a sample, times in microseconds (median), memory in KiB.
set statement_timeout = 0;
-- A transaction for each person, as requests are.
create procedure pg_temp.measure(what text, who text, first_number bigint, last_number bigint, shuffled boolean default false)
language plpgsql as $$
declare
  place bigint;
  begun timestamptz;
  took double precision[] := '{}';
begin
  for place in
    select n from generate_series(first_number, last_number) n order by case when shuffled then hashint8(n) end, n
  loop
    perform set_config('request.jwt.claims', p.claims, true) from bench.person p where p.name = who and p.number = place;
    begun := clock_timestamp();
    if not nebula.can('users.list') then
      raise exception 'refused: % %', who, place;
    end if;
    took := took || extract(epoch from clock_timestamp() - begun) * 1000000;
    commit;
  end loop;
  if what <> '' then
    raise notice '%|%', what, (select round(percentile_cont(0.5) within group (order by t)::numeric, 1) from unnest(took) t);
  end if;
end
$$;
select pg_backend_pid() as pid \gset
\setenv PID :pid
\setenv MEMORY :memory
-- What every session needs first: plans, the installation, the catalog.
call pg_temp.measure('', 'ada', :tenants - 9, :tenants);
call pg_temp.measure('', 'bia', :tenants - 9, :tenants);
\echo -n memory_before|
\! $MEMORY $PID
call pg_temp.measure('cold', 'ada', 1, :principals);
call pg_temp.measure('cold_colleague', 'bia', 1, :principals);
call pg_temp.measure('warm', 'bia', 1, :principals);
call pg_temp.measure('', 'ada', 1, :tenants);
\echo -n memory_after|
\! $MEMORY $PID
call pg_temp.measure('again', 'ada', 1, :tenants, shuffled => true);
