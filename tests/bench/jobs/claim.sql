select coalesce(array_agg(id), '{}')::text as ids, coalesce(array_agg(attempt), '{}')::text as attempts from nebula.claim('bench', 100, interval '1 minute') \gset
select count(*) from nebula.complete('bench', :ids::uuid[], :attempts::integer[]);
