-- The password of a login is stored as md5: who reads the hash logs in with it.
select
  'role ' || quote_ident(a.rolname),
  'Who reads the hash logs in with it.',
  format('-- \password %I', a.rolname)
from pg_authid a
where a.rolcanlogin and a.rolpassword like 'md5%'
order by 1, 2
