declare
  missing pg_catalog.int8;
begin
  select count(*) into missing from {table} t where t.{column} is null;
  if missing > 0 then
    raise exception '% rows of % have no tenant', missing, {name} using errcode = 'not_null_violation', hint = {hint};
  end if;
end
