-- From 0.1.0 to 0.2.0, the part by hand: what must happen before the functions are declared anew (sql/update.awk makes the rest of the script). Removed or changed
-- signatures are dropped here, with everything that can't be replaced.

-- The declarations below are of a library that is at least as new. A session that has loaded an older one keeps it until it ends.
do $$
begin
  if pg_catalog.string_to_array(nebula.version(), '.')::integer[] < array[0, 2, 0] then
    raise exception 'this session has loaded version % of Nebula''s library, which is older than the version that it is to be updated to', nebula.version()
      using errcode = 'object_not_in_prerequisite_state',
        hint = 'Install the new files, then connect anew. Where shared_preload_libraries names nebula, restart the server first.';
  end if;
end
$$;
