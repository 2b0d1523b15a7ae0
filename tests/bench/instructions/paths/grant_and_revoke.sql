select body::json -> 'data' -> 0 ->> 'id' as permission from nebula.handle(:tenant, :grant) \gset
select status, body, context from nebula.handle(:tenant, replace(:revoke, '#', :permission)::json);
