-- A function that does nothing, as callable as nebula.can. Variable: library.
\set ON_ERROR_STOP on
create function bench.nothing(action text) returns boolean
language c stable strict parallel restricted as :'library', 'nothing';
revoke all on function bench.nothing(text) from public;
grant execute on function bench.nothing(text) to nebula_owner, nebula_platform, nebula_app;
grant usage on schema bench to nebula_app;
