-- Run once, when the volume is new, by the image's own scripts as its superuser: a password of its own for each login of Supabase's services.
\getenv auth_password AUTH_ADMIN_PASSWORD
\getenv rest_password AUTHENTICATOR_PASSWORD
\getenv meta_password META_PASSWORD
alter role supabase_auth_admin password :'auth_password';
alter role authenticator password :'rest_password';
alter role supabase_admin password :'meta_password';
