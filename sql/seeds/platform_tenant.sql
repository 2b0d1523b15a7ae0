-- $1 the catalog (unused here; every seed takes it). The operators' own tenant.
insert into nebula.tenant (slug, name, kind)
select 'platform', 'Plataforma', 'platform'
where not exists (select from nebula.tenant where kind = 'platform') and $1 is not null
