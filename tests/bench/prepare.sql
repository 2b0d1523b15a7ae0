-- The tables that the hand-written statement writes: the same columns, constraints and indexes, without RLS and triggers.
\set ON_ERROR_STOP on
drop schema if exists bench cascade;
create schema bench;
create table bench.user (like nebula.user including all);
alter table bench.user add foreign key (tenant_id) references nebula.tenant (id);
create table bench.audit_log (like nebula.audit_log including all);
create table bench.outbox (like nebula.outbox including all);
create table bench.idempotency_key (like nebula.idempotency_key including all);
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
