do $$
declare
  mode text := current_setting('nebula.prover_mode');
  counted bigint := 0;
  seen text;
  state text := '';
  broken text;
begin
  begin
    if mode = 'value' then
      execute current_setting('nebula.prover_statement') into seen;
    else
      execute current_setting('nebula.prover_statement');
      get diagnostics counted = row_count;
    end if;
    if mode <> 'keep' then
      -- Whatever it did is taken back.
      raise exception using errcode = 'NB999';
    end if;
  exception
    -- A cancel is none of these: it ends the run.
    when sqlstate 'NB999' then
      null;
    when others then
      get stacked diagnostics state = returned_sqlstate, broken = constraint_name;
      counted := 0;
  end;
  perform set_config(
    'nebula.prover_outcome',
    json_build_object('state', state, 'rows', counted, 'seen', seen, 'constraint', nullif(broken, ''))::text,
    true
  );
end
$$
