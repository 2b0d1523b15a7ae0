delete from bare where id in (select id from bare order by id limit 100 for update skip locked);
