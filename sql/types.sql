create type nebula.status as enum ('ativo', 'suspenso');
comment on type nebula.status is 'Whether a row counts: ativo (active) or suspenso (suspended).';
