-- A key that access tokens are verified with is an RSA key of less than 2048 bits: who has an afternoon signs for everybody.
select
  'signing key ' || k.kid,
  format('It has about %s bits.', (length(k.public_key) - 38) * 8),
  format('select nebula.revoke_signing_key(%L);', k.kid)
from nebula.signing_key k
-- DER of 2048 bits: 294 bytes.
where k.status <> 'revoked' and length(k.public_key) < 290
