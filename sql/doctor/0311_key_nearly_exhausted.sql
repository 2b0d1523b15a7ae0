-- A sequence, or the integer column that it numbers, has used seven tenths of its numbers: when they are gone, every insert fails.
select
  s.seqrelid::regclass::text,
  format('%s of %s numbers are used.', v.last_value, least(s.seqmax, ceiling.value)),
  concat_ws(e'\n',
    case when a.atttypid in ('int2'::regtype, 'int4'::regtype) then format('alter table %s alter column %I type bigint; -- rewrites the table', d.refobjid::regclass, a.attname) end,
    format('alter sequence %s as bigint maxvalue 9223372036854775807;', s.seqrelid::regclass))
from pg_sequence s
join pg_class c on c.oid = s.seqrelid
join pg_namespace n on n.oid = c.relnamespace
left join pg_depend d on d.classid = 'pg_class'::regclass and d.objid = s.seqrelid and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i') and d.refobjsubid > 0
left join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
cross join lateral (
  select case a.atttypid when 'int2'::regtype then 32767 when 'int4'::regtype then 2147483647 else 9223372036854775807 end::bigint
) ceiling (value)
cross join lateral (select case when has_sequence_privilege(s.seqrelid, 'select') then pg_sequence_last_value(s.seqrelid) end) v (last_value)
where n.nspname = any ($1 || 'nebula'::text) and not s.seqcycle and s.seqincrement > 0 and v.last_value > least(s.seqmax, ceiling.value) * 0.7
order by 1, 2
