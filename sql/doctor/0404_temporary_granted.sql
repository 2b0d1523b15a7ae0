-- PUBLIC may make temporary tables, as Postgres grants it: every login, the edge's too, can fill the disk with them. They change no decision of Nebula's.
select
  format('database %I', d.datname),
  'Every login may make temporary tables.',
  format('revoke temporary on database %I from public;', d.datname)
from pg_database d
where d.datname = current_database()
  and exists (select from aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a where a.grantee = 0 and a.privilege_type = 'TEMPORARY')
order by 1, 2
