insert into bare (payload) values ('{}');
