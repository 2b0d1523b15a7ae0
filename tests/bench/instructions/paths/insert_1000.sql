insert into public.orders (total, note) select n, 'One of many' from generate_series(1, 1000) n;
