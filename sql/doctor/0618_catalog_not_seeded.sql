-- The catalog of actions is empty: nobody may do anything.
select
  'nebula.tool_action',
  'No action exists, so none can be granted.',
  'select nebula.seed();'
where not exists (select from nebula.tool_action)
