-- What tells backends whose rights have changed. A change of one tenant's sends the invalidation of the sentinel and then of the tenant's slot: backends clear
-- that slot alone. The sentinel without a slot behind it, as a library of 0.1.0 sends it, clears everything.
--
-- Types without attributes: the smallest thing that Postgres sends invalidations of. They hold nothing.
do $$
begin
  for slot in 0..63 loop
    execute pg_catalog.format('create type nebula.rights_slot_%s as ()', slot);
    execute pg_catalog.format(
      'comment on type nebula.rights_slot_%s is %L', slot, 'Holds nothing: its invalidation says that rights of a sixty-fourth of the tenants have changed.'
    );
  end loop;
end
$$;
create type nebula.rights_slot_all as ();
comment on type nebula.rights_slot_all is 'Holds nothing: its invalidation says that rights have changed that are no single tenant''s.';
