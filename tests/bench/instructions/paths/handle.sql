select status, body, context from nebula.handle(:tenant, :request);
