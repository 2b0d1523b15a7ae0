-- The rows that Nebula keeps, and what it does with them, by hand: the same columns, indexes and checks; one tenant, no order, no worker to be told. What its own way of keeping jobs
-- (a lease, and a history that what is done moves to) costs at the least.
drop schema if exists hand cascade;
create schema hand;
create table hand.live (like nebula.outbox_live including all) with (
  fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0
);
create table hand.done (like nebula.outbox_finished including all);
