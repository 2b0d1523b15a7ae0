-- No sealing key is registered: webhooks and credentials can't be stored.
select
  'nebula.sealing_key',
  'Webhooks, credentials and exports of secrets answer 503.',
  '-- nebula keys generate, or nebula keys register-sealing where the keys are'
where not exists (select from nebula.sealing_key)
