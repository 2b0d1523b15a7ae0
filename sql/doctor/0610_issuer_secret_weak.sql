-- The secret that is shared with an issuer is a published example or easily guessed: anybody can sign for everybody.
select
  'issuer ' || i.issuer,
  'Its secret is a published example, or too plain to be random.',
  format(e'update nebula.issuer set status = ''suspenso'' where issuer = %L;\n-- then give the issuer another secret, and nebula.set_issuer_secret()', i.issuer)
from nebula.issuer i
join nebula.issuer_key k on k.issuer_id = i.id and k.secret is not null
where i.status = 'ativo' and (
  -- What Supabase's own examples ship.
  k.secret in ('super-secret-jwt-token-with-at-least-32-characters-long'::bytea, 'your-super-secret-jwt-token-with-at-least-32-characters-long'::bytea)
  or (select count(distinct get_byte(k.secret, n)) from generate_series(0, length(k.secret) - 1) n) < 12
)
