-- An issuer has no key: all its tokens are refused.
select
  'issuer ' || i.issuer,
  'All its tokens are refused.',
  case when i.jwks_url is null then '-- nebula issuer add … --jwks-file, or nebula.replace_issuer_keys()' else '-- nebula issuer sync' end
from nebula.issuer i
where i.status = 'ativo' and not exists (select from nebula.issuer_key k where k.issuer_id = i.id)
