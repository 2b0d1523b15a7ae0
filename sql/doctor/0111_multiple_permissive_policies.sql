-- Several permissive policies hold for the same role and command: each is evaluated for each row, and they add up, which reads as if they narrowed.
with policies as (
  select * from nebula.doctor_policies($1) p where p.is_permissive
), crowded as (
  select a.table_id, a.table_name, string_agg(distinct quote_ident(a.name), ', ' order by quote_ident(a.name)) as names
  from policies a
  join policies b on b.table_id = a.table_id and b.name <> a.name
    and (a.command = b.command or 'all' in (a.command, b.command))
    and (a.roles && b.roles or 0 = any (a.roles) or 0 = any (b.roles))
  where a.is_binding and b.is_binding
  group by a.table_id, a.table_name
), parts as (
  -- What each policy says of one command, and for whom. Postgres asks in the same way whether a policy is the current role's.
  select
    p.table_id, verb.name as command,
    (select count(distinct q.roles) from policies q where q.table_id = p.table_id) = 1 as is_for_the_same, p.role_names,
    case when 0 = any (p.roles) then '' else
      '(' || (select string_agg(format('(select pg_catalog.pg_has_role(%L::name, ''USAGE''))', r::regrole), ' or ') from unnest(p.roles) r) || ') and '
    end as test,
    case when verb.name <> 'insert' then p.using_text end as using_text,
    case when verb.name in ('insert', 'update') then coalesce(p.check_text, p.using_text) end as check_text
  from policies p
  join crowded c on c.table_id = p.table_id
  cross join (values ('select'), ('insert'), ('update'), ('delete')) verb (name)
  where p.command in ('all', verb.name)
), merged as (
  select
    p.table_id,
    string_agg(p.statement, e'\n' order by p.command) as statements
  from (
    select
      table_id, command,
      format('create policy %s on %s for %s to %s%s%s;', 'merged_' || command, table_id::regclass, command,
        case when bool_and(is_for_the_same) then min(role_names) else 'public' end,
        ' using (' || string_agg('(' || case when is_for_the_same then '' else test end || using_text || ')', ' or ') || ')',
        ' with check (' || string_agg('(' || case when is_for_the_same then '' else test end || check_text || ')', ' or ') || ')') as statement
    from parts
    group by table_id, command
  ) p
  group by p.table_id
)
select
  c.table_name,
  format('%s hold for the same role and command: one that lets in is enough.', c.names),
  format(e'begin;\n%s\n%s\ncommit;',
    (select string_agg(format('drop policy %I on %s;', p.name, p.table_name), e'\n' order by p.name) from policies p where p.table_id = c.table_id),
    m.statements)
from crowded c
join merged m on m.table_id = c.table_id
order by 1, 2
