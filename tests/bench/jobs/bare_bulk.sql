insert into bare (payload) select '{}' from generate_series(1, :jobs);
