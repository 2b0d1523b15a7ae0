-- Two indexes of a table are the same: each write pays twice.
select
  b.indexrelid::regclass::text,
  format('%s is the same.', a.indexrelid::regclass),
  format('drop index concurrently %s;', b.indexrelid::regclass)
from nebula.doctor_tables($1) t
join pg_index a on a.indrelid = t.id and a.indisvalid
join pg_index b on b.indrelid = t.id and b.indisvalid and b.indexrelid <> a.indexrelid
  and b.indkey = a.indkey and b.indclass = a.indclass and b.indcollation = a.indcollation and b.indoption = a.indoption and b.indnkeyatts = a.indnkeyatts
  and b.indpred::text is not distinct from a.indpred::text and b.indexprs::text is not distinct from a.indexprs::text
join pg_class ca on ca.oid = a.indexrelid
join pg_class cb on cb.oid = b.indexrelid and cb.relam = ca.relam
-- What no constraint needs and is no more than the other goes; of two alike the younger.
where not exists (select from pg_constraint k where k.conindid = b.indexrelid)
  and not b.indisprimary and not b.indisreplident and (a.indisunique or not b.indisunique)
  and (a.indisunique <> b.indisunique or exists (select from pg_constraint k where k.conindid = a.indexrelid) or b.indexrelid > a.indexrelid)
  and not exists (select from pg_inherits h where h.inhrelid = b.indexrelid)
order by 1, 2
