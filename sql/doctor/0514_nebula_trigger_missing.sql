-- A trigger of one of Nebula's tables is gone: what is done to the table is not in the audit log.
select
  c.oid::regclass::text,
  format('%s is not audited.', initcap(verb.name)),
  format(e'create trigger audit_%s after %1$s on %s referencing %s for each statement execute function nebula.audit_change();\nalter table %2$s enable always trigger audit_%1$s;',
    verb.name, c.oid::regclass,
    case verb.name when 'insert' then 'new table as new_rows' when 'delete' then 'old table as old_rows' else 'old table as old_rows new table as new_rows' end)
from pg_class c
cross join (values ('insert', 4), ('delete', 8), ('update', 16)) verb (name, bit)
where c.relnamespace = 'nebula'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
  -- What is not audited, and why: tests/tests/suite/sql/catalog_rules.rs.
  and not (c.relname in (
    'schema_migration', 'installation', 'seed_history', 'rights_sentinel', 'permission_usage', 'revoked_token', 'session', 'refresh_token', 'rate_limit', 'login_failure',
    'quota_usage', 'gathered_usage', 'usage_metrics', 'sealing_key', 'task', 'audit_log', 'audit_segment', 'audit_block', 'audit_erasure', 'audit_watermark',
    'idempotency_key', 'outbox', 'webhook_delivery'))
  and not (c.relname = 'user_secret' and verb.name <> 'insert')
  and not exists (
    select from pg_trigger g join pg_proc f on f.oid = g.tgfoid
    where g.tgrelid = c.oid and f.proname = 'audit_change' and g.tgtype & verb.bit > 0)
order by 1, 2
