select status, body, context from nebula.handle(:tenant, replace(:request, '#', :number::text)::json);
