-- In one session, as PostgREST's login. Each `name|value` line is a sample, times in microseconds (median), memory in KiB.
set statement_timeout = 0;
-- A transaction for each person, as requests are. `stride` 1 asks in order; another prime goes around in an order that is nobody's.
create procedure pg_temp.measure(what text, who text, people bigint, stride bigint default 1)
language plpgsql as $$
declare
  begun timestamptz;
  took double precision[] := '{}';
begin
  for place in 0..people - 1 loop
    perform set_config('request.jwt.claims', p.claims, true)
    from bench.person p
    where p.name = who and p.number = place * stride % people + 1;
    begun := clock_timestamp();
    if not nebula.can('users.list') then
      raise exception 'refused: %', current_setting('request.jwt.claims');
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
call pg_temp.measure('', 'warm', 10);
\echo -n memory_before|
\! python3 $MEMORY $PID | awk '$1 == "private" { print $2 }'
call pg_temp.measure('cold', 'ada', :principals);
call pg_temp.measure('cold_colleague', 'bia', :principals);
call pg_temp.measure('warm', 'bia', :principals);
call pg_temp.measure('', 'ada', :tenants);
\echo -n memory_after|
\! python3 $MEMORY $PID | awk '$1 == "private" { print $2 }'
call pg_temp.measure('again', 'ada', :tenants, stride => 7919);
