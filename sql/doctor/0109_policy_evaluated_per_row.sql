-- A policy calls auth.uid(), auth.jwt() or current_setting() for each row; in a sub-select it is called once a statement.
select
  p.table_name || ' policy ' || quote_ident(p.name),
  'It calls a function for each row that would give the same each time.',
  format('alter policy %I on %s%s%s;', p.name, p.table_name,
    ' using (' || regexp_replace(p.using_text, '(?<!SELECT )\m(auth\.(uid|jwt|role|email)\(\)|current_setting\([^()]*\))', '(select \1)', 'gi') || ')',
    ' with check (' || regexp_replace(p.check_text, '(?<!SELECT )\m(auth\.(uid|jwt|role|email)\(\)|current_setting\([^()]*\))', '(select \1)', 'gi') || ')')
from nebula.doctor_policies($1) p
where concat_ws(' ', p.using_text, p.check_text) ~* '(?<!SELECT )\m(auth\.(uid|jwt|role|email)\(\)|current_setting\([^()]*\))'
order by 1, 2
