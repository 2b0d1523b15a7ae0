insert into public.orders (total, note) values (:number, 'One order');
