-- No key signs access tokens: nobody can log in or refresh.
select
  'nebula.signing_key',
  case when exists (select from nebula.signing_key where status = 'retiring') then 'The keys that there are sign no more.' else 'There is no key.' end,
  '-- nebula key signing generate'
where not exists (select from nebula.signing_key where status = 'active')
