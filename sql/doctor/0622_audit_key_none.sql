-- No key that seals the audit log is registered: that somebody changed it would not show.
select
  'nebula.audit_key',
  'Rows of the audit log are not sealed: a superuser can change them unseen.',
  '-- nebula key signing generate, or nebula key audit register where the keys are'
where not exists (select from nebula.audit_key)
