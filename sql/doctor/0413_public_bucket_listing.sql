-- A policy lets callers list all files of a public bucket of Supabase Storage: files of public buckets are had by their URL without it.
select
  'bucket ' || b.id,
  format('The policy %I lets everybody list its files.', p.policyname),
  format('drop policy %I on storage.objects;', p.policyname)
from (
  -- Read only where the table is there: the text is a query of its own.
  select unnest(xpath('/table/row/id/text()', query_to_xml('select id from storage.buckets where public', false, false, '')))::text
  where to_regclass('storage.buckets') is not null
) b (id)
join pg_policies p on p.schemaname = 'storage' and p.tablename = 'objects' and p.cmd in ('SELECT', 'ALL') and p.permissive = 'PERMISSIVE'
  and p.roles && array['public', 'anon', 'authenticated']::name[]
where regexp_replace(lower(p.qual), '[\s()]', '', 'g') in ('true', '1=1', 'bucket_id=''' || lower(b.id) || '''::text')
order by 1, 2
