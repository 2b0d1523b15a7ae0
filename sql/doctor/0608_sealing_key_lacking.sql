-- Values are sealed with a version of the sealing keys that is not registered: no machine opens them.
select
  'sealing key ' || v.key_version,
  format('%s values are sealed with it, and no machine has registered it.', count(*)),
  '-- nebula key sealing register on the machine that has the key'
from (
  select secret_key_version from nebula.webhook_subscription
  union all
  select key_version from nebula.integration_credential
) v (key_version)
where not exists (select from nebula.sealing_key k where k.version = v.key_version)
group by v.key_version
