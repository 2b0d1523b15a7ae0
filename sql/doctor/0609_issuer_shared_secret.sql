-- An issuer signs with a shared secret (HS256): the secret stands in the database and its dumps, who reads it signs for everybody, and the edge can't verify such
-- tokens before the database does.
select
  'issuer ' || i.issuer,
  'Who reads the secret signs for everybody whom it speaks for.',
  format('-- let it sign with RS256, ES256 or EdDSA, and register it again with "jwksUrl" and without HS256: nebula issuer add %s', quote_ident(i.issuer))
from nebula.issuer i
where i.status = 'ativo' and 'HS256' = any (i.algorithms)
