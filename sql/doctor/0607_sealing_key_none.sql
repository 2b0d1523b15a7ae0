-- No sealing key is registered: webhooks and credentials can't be stored.
select
  'nebula.sealing_key',
  'Webhooks, credentials and exports of secrets answer 503.',
  '-- nebula key signing generate, or nebula key sealing register where the keys are'
where not exists (select from nebula.sealing_key)
