-- The server speaks no TLS: what travels between it and others can be read on the way.
select
  'setting ssl',
  'What travels between the server and other machines can be read on the way.',
  '-- set ssl_cert_file and ssl_key_file, then: alter system set ssl = on; select pg_reload_conf();'
where current_setting('ssl') = 'off' and current_setting('listen_addresses') <> ''
