select pg_catalog.json_build_object(
  'data_directory', pg_catalog.current_setting('data_directory'),
  'programs', (select setting from pg_catalog.pg_config where name = 'BINDIR'),
  'port', pg_catalog.current_setting('port')::integer,
  'socket_directory', pg_catalog.btrim(pg_catalog.split_part(pg_catalog.current_setting('unix_socket_directories'), ',', 1)),
  'superuser', session_user,
  'database', pg_catalog.current_database(),
  'preloaded', pg_catalog.current_setting('shared_preload_libraries'),
  'archive_mode', pg_catalog.current_setting('archive_mode'),
  'archive_command', pg_catalog.current_setting('archive_command')
)::text
