select array_agg(id) as ids, array_agg(attempt) as attempts from nebula.claim('bench', 100, '1 minute') \gset
select count(*) from nebula.complete('bench', :ids, :attempts);
