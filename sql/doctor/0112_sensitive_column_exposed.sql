-- A column that sounds like a secret or like personal data stands in a table that callers read without row-level security.
select
  t.name,
  format('%s can be read by %s.', string_agg(quote_ident(a.attname), ', ' order by a.attnum), array_to_string(t.callers, ', ')),
  format('alter table %s enable row level security;', t.name)
from nebula.doctor_tables($1) t
join pg_attribute a on a.attrelid = t.id and a.attnum > 0 and not a.attisdropped
where not t.has_rls and exists (select from unnest(t.callers) r where has_column_privilege(r, t.id, a.attnum, 'select'))
  and replace(lower(a.attname), '-', '_') ~ (
    '^(.*_)?(password|passwd|pwd|passphrase|secret|secret_key|api_key|apikey|private_key|access_token|refresh_token|auth_token|session_token|otp|two_factor_secret|pin'
    '|ssn|cpf|cnpj|rg|passport|passport_number|driver_license|tax_id|credit_card|card_number|cvv|cvc|bank_account|account_number|routing_number|iban|swift_code'
    '|health_record|medical_record|insurance_number|ssh_key|pgp_key|gpg_key|license_key|mac_address|imei|facial_recognition)(_hash|_encrypted)?$')
group by t.name, t.callers
order by 1, 2
