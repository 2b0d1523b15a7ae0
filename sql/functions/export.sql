-- A tenant out of the database and into one. The worker's functions say by which lease they are called, and read the rows of that job's tenant alone; an
-- import is the DBA's.

create function nebula.start_export(worker text, job uuid, attempt integer) returns json
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'start_export_wrapper';
comment on function nebula.start_export(text, uuid, integer) is
  'Begins an attempt at an export: {"format", "location", "earlier": locations of earlier attempts}; null where there is nothing to do any more.';

create function nebula.export_tables(worker text, job uuid, attempt integer) returns json
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'export_tables_wrapper';
comment on function nebula.export_tables(text, uuid, integer) is
  'What an export holds: the tenant, its tables with their columns and secrets, and the keys of the global rows that they refer to.';

create function nebula.export_rows(worker text, job uuid, attempt integer, "table" text, after text, "limit" integer) returns table (place text, line text)
language c volatile strict parallel unsafe security definer rows 1000 set search_path = pg_catalog, pg_temp set row_security = on set timezone = 'UTC' set datestyle = 'ISO' set intervalstyle = 'postgres' set extra_float_digits = 1 set bytea_output = 'hex' set jit = off set enable_seqscan = off set enable_sort = off as 'MODULE_PATHNAME', 'export_rows_wrapper';
comment on function nebula.export_rows(text, uuid, integer, text, text, integer) is
  'A page of a table of the export''s tenant: each row as JSON, and where it stands; after is where the page before ended, empty for the first.';

create function nebula.finish_export(worker text, job uuid, attempt integer, outcome json) returns boolean
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'finish_export_wrapper';
comment on function nebula.finish_export(text, uuid, integer, json) is
  'The file is there: {"rowCount", "sizeBytes", "sha256", "hours"}. False where that comes too late, and the file is to be removed.';

create function nebula.expire_exports() returns integer
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'expire_exports_wrapper';
comment on function nebula.expire_exports() is
  'Has files whose time has passed removed, and tells of exports whose work is dead that they have failed. How many of both.';

create function nebula.open_export(tenant text) returns uuid
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'open_export_wrapper';
comment on function nebula.open_export(text) is
  'For a DBA: lets this transaction read a tenant, by id or slug, with nebula.export_tables and nebula.export_rows; the tenant''s log tells. Null where there is none.';

create function nebula.begin_import(manifest json) returns json
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'begin_import_wrapper';
comment on function nebula.begin_import(json) is
  'For a DBA: lets this transaction load a tenant that is not here yet, and tells how: {"tables", "references": {table: {id there: id here}}}. The platform''s log tells.';

create function nebula.import_rows("table" text, columns json, rows json) returns integer
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on set timezone = 'UTC' as 'MODULE_PATHNAME', 'import_rows_wrapper';
comment on function nebula.import_rows(text, json, json) is
  'For a DBA, after nebula.begin_import: loads rows of the tenant as they are, without events or audit rows. How many were loaded.';
