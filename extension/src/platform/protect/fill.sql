declare
  leaf pg_catalog.text;
  page pg_catalog.int8;
  touched pg_catalog.int8;
  filled pg_catalog.int8;
  missing pg_catalog.int8;
begin
  -- Rows that were moved while they passed are met in the next round; the last few thousand are filled in by the switch.
  for round in 1..3 loop
    filled := 0;
    foreach leaf in array array[{leaves}] loop
      page := 0;
      while page <= pg_catalog.pg_relation_size(leaf::pg_catalog.regclass) / pg_catalog.current_setting('block_size')::pg_catalog.int8 loop
        execute 'update ' || leaf || {update} using '(' || page || ',0)', '(' || page + {pages} || ',0)';
        get diagnostics touched = row_count;
        filled := filled + touched;
        page := page + {pages};
        commit;
      end loop;
    end loop;
    exit when filled = 0;
  end loop;
  select count(*) into missing from {table} t where t.{column} is null;
  if missing > {left} then
    raise exception '% rows of % have no tenant', missing, {name}
      using errcode = 'not_null_violation', hint = 'The tenant_query gives null for them, or they come faster than they are filled in.';
  end if;
end
