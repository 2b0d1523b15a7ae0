-- What the hand-written statements write to and read: the same columns, constraints and indexes as Nebula's tables, without RLS and triggers.
\set ON_ERROR_STOP on
drop schema if exists bench, bench_list cascade;
create schema bench;
create schema bench_list;
create table bench.user (like nebula.user including all);
alter table bench.user add foreign key (tenant_id) references nebula.tenant (id);
create table bench.audit_log (like nebula.audit_log including all);
-- Events are written to that partition.
create table bench.outbox (like nebula.outbox_live including all) with (fillfactor = 50);
create table bench.idempotency_key (like nebula.idempotency_key including all);
-- Ten thousand people of one tenant, twice.
insert into nebula.user (tenant_id, email, name, created_at, updated_at)
select :'listed', 'p' || n || '@bench.test', 'Person ' || n, at, at
from (select n, now() - n * interval '1 minute' as at from generate_series(1, 9999) n) p;
create table bench_list.user (like nebula.user including all);
insert into bench_list.user select * from nebula.user where tenant_id = :'listed';
vacuum (analyze) nebula.user, bench_list.user;
do $$
begin
  if not exists (select from pg_roles where rolname = 'nebula_bench') then
    create role nebula_bench login password 'bench';
  end if;
end
$$;
alter role nebula_bench password 'bench';
grant nebula_app to nebula_bench;
select nebula.bind_role('nebula_bench', :'tenant', 'bench');
