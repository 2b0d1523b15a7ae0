-- The library is loaded by each session that calls it, not with the server: the first call of each connection is slower, and a session that never called it
-- lays no floor under protected tables but the policies that they have.
select
  'shared_preload_libraries',
  'Each session loads the library with its first call.',
  format('alter system set shared_preload_libraries = %s; -- then restart the server', concat_ws(', ', nullif(current_setting('shared_preload_libraries'), ''), 'nebula'))
where not exists (
  select from regexp_split_to_table(current_setting('shared_preload_libraries'), '\s*,\s*') l where trim(both '"' from l) ~ '(^|/)nebula(\.so)?$'
)
