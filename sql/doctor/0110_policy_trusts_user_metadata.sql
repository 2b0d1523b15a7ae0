-- A policy reads user_metadata of the token: people write that themselves.
select
  p.table_name || ' policy ' || quote_ident(p.name),
  'People edit user_metadata themselves: whoever wants in writes what the policy asks for. app_metadata is the service''s.',
  format('alter policy %I on %s%s%s;', p.name, p.table_name,
    ' using (' || replace(replace(p.using_text, 'raw_user_meta_data', 'raw_app_meta_data'), 'user_metadata', 'app_metadata') || ')',
    ' with check (' || replace(replace(p.check_text, 'raw_user_meta_data', 'raw_app_meta_data'), 'user_metadata', 'app_metadata') || ')')
from nebula.doctor_policies($1) p
where concat_ws(' ', p.using_text, p.check_text) ~ 'user_metadata|raw_user_meta_data'
order by 1, 2
