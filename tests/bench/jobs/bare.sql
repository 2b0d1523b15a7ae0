-- The least that a queue of jobs can be: what Postgres itself gives.
drop table if exists bare;
create table bare (id bigint generated always as identity primary key, payload jsonb not null, created_at timestamptz not null default now());
