#!/usr/bin/env bash
# What a custom operation costs beside a built-in one (docs/performance.md): the same reads and the same effects, as nebula.handle in one session, in turns. The lower
# quartile counts, since machines are shared, and no commit is part of it. Called by `make bench-expose`; CALLS changes how long it takes.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
dir=$root/target/bench-expose
calls=${CALLS:-2000}

mkdir -p "$dir"
"$NEBULA" up --dir "$dir" --pg-bindir "$NEBULA_PG_BINDIR" >/dev/null
trap '"$NEBULA" down --dir "$dir" --pg-bindir "$NEBULA_PG_BINDIR" >/dev/null' EXIT
# shellcheck disable=SC1091
source "$dir/env"

psql -qX -v ON_ERROR_STOP=1 <<'SQL' >/dev/null
drop schema if exists bench_shop cascade;
create schema bench_shop;
-- Columns and indexes of nebula.user, audited and governed in the same way; the function does what users.create does.
create table bench_shop.customers (like nebula.user including all);
alter table bench_shop.customers alter column id set default gen_random_uuid(), alter column tenant_id set default nebula.current_tenant(), add foreign key (tenant_id) references nebula.tenant (id);
alter table bench_shop.customers enable row level security;
alter table bench_shop.customers force row level security;
create policy tenant_isolation on bench_shop.customers using (tenant_id = nebula.current_tenant()) with check (tenant_id = nebula.current_tenant());
create table bench_shop.branding (tenant_id uuid primary key, logo_url text, primary_color text);
alter table bench_shop.branding enable row level security;
create policy tenant_isolation on bench_shop.branding using (tenant_id = nebula.current_tenant());
grant select on bench_shop.branding to nebula_app;
create function bench_shop.create_customer(email text, name text) returns table (id uuid, email_address text, full_name text)
language plpgsql as $$ begin return query insert into bench_shop.customers as c (email, name) values (create_customer.email, create_customer.name) returning c.id, c.email, c.name; end $$;
create function bench_shop.read_branding() returns table (logo_url text, primary_color text)
language plpgsql stable as $$ begin return query select b.logo_url, b.primary_color from bench_shop.branding b; end $$;
grant usage on schema bench_shop to nebula_app;
grant select, insert on bench_shop.customers to nebula_app;
select nebula.expose('bench_shop.create_customer(text,text)', 'customers.create', 'POST', '/v1/customers', package => 'platform', success => 201, event => 'customer.created');
select nebula.expose('bench_shop.read_branding()', 'customers.read', 'GET', '/v1/customers', package => 'platform');
update nebula.tenant_config set limits = '{}';
insert into nebula.tenant_config (tenant_id, limits)
select id, '{"read": {"perMinute": 100000000}, "write": {"perMinute": 100000000}}' from nebula.tenant where kind = 'platform'
on conflict (tenant_id) do update set limits = excluded.limits;
SQL
tenant=$(psql -qXAt -c "select id from nebula.tenant where kind = 'platform'")

measured=$(psql -qX -v ON_ERROR_STOP=1 -v calls="$calls" -v tenant="$tenant" -v key="$NEBULA_OPERATOR_KEY" "$NEBULA_DATABASE_URL" 2>&1 <<'SQL'
set statement_timeout = 0;
select set_config('bench.calls', :'calls', false), set_config('bench.tenant', :'tenant', false), set_config('bench.key', :'key', false) \gset
do $$
declare
  operations text[] := array['users.create', 'customers.create', 'branding.read', 'customers.read'];
  request text;
  begun timestamptz;
  answered integer;
  samples double precision[][] := array_fill(0::double precision, array[4, current_setting('bench.calls')::integer]);
begin
  for number in 1..current_setting('bench.calls')::integer loop
    for at in 1..4 loop
      request := format('{"operation":"%s","requestId":"bench-00","credential":"%s"', operations[at], current_setting('bench.key'))
        || case when at < 3 then format(',"idempotencyKey":"k%s","body":{"email":"h%1$s@bench.test","name":"Bench User"}}', gen_random_uuid()) else '}' end;
      begun := clock_timestamp();
      select status into answered from nebula.handle(current_setting('bench.tenant')::uuid, request::json);
      samples[at][number] := extract(epoch from clock_timestamp() - begun) * 1000000;
      if answered not in (200, 201) then
        raise exception '% answered %', operations[at], answered;
      end if;
    end loop;
  end loop;
  for at in 1..4 loop
    raise notice '% %', operations[at], (select round(percentile_cont(0.25) within group (order by v)) from unnest(samples[at:at]) v);
  end loop;
end
$$;
SQL
) || { echo "$measured" >&2; exit 1; }
of() { sed -n "s/^NOTICE:  $1 \([0-9]*\)$/\1/p" <<<"$measured"; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'; }
{
  echo "| custom operation, as \`nebula.handle\` | µs | the built-in one beside it | µs | ratio |"
  echo "|---|---|---|---|---|"
  echo "| a write: row, audit, event, answer kept | $(of customers.create) | \`users.create\` | $(of users.create) | $(ratio "$(of customers.create)" "$(of users.create)") |"
  echo "| a read of one row | $(of customers.read) | \`branding.read\` | $(of branding.read) | $(ratio "$(of customers.read)" "$(of branding.read)") |"
} | tee "$dir/result.md"
