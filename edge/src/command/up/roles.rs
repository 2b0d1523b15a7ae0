//! Database and logins of `up`. Passwords are made here, sent as SCRAM verifiers, and kept in the environment file alone.

use super::{cluster::Cluster, env_file::EnvFile, random_secret};
use crate::{db, error::Error};
use postgres_protocol::password::scram_sha_256;
use tokio_postgres::{Client, NoTls};

const DATABASE: &str = "nebula";

/// Gives the superuser a password if none is remembered, and records how to connect.
pub async fn ensure_superuser(cluster: &Cluster<'_>, port: u16, env: &mut EnvFile) -> Result<(), Error> {
    let password = match env.get("NEBULA_ADMIN_DATABASE_URL").and_then(password_of) {
        Some(password) => password,
        None => {
            let password = random_secret()?;
            set_password(&connect_local(cluster, port).await?, "postgres", &password).await?;
            password
        }
    };
    env.set("NEBULA_ADMIN_DATABASE_URL", &url("postgres", &password, port, "postgres"));
    env.set("PGHOST", &cluster.socket_dir().to_string_lossy());
    env.set("PGPORT", &port.to_string());
    env.set("PGUSER", "postgres");
    Ok(())
}

/// Creates the database if it is missing; an administrator's connection to it.
pub async fn ensure_database(cluster: &Cluster<'_>, port: u16, env: &mut EnvFile) -> Result<Client, Error> {
    let client = connect_local(cluster, port).await?;
    let exists = client.query_typed("select 1 from pg_catalog.pg_database where datname = 'nebula'", &[]).await?;
    if exists.is_empty() {
        client.batch_execute("create database nebula").await?;
        // A dropped database took the keys of its tenants with it.
        env.remove("NEBULA_OPERATOR_KEY");
    }
    let password = env.get("NEBULA_ADMIN_DATABASE_URL").and_then(password_of).unwrap_or_default();
    let admin_url = url("postgres", &password, port, DATABASE);
    env.set("NEBULA_ADMIN_DATABASE_URL", &admin_url);
    env.set("PGDATABASE", DATABASE);
    db::connect_admin(&admin_url.parse().map_err(Error::Database)?).await
}

/// Gives each login of edge and worker a password if none is remembered.
pub async fn ensure_logins(client: &Client, port: u16, env: &mut EnvFile) -> Result<(), Error> {
    for (role, variable) in [
        ("nebula_edge", "NEBULA_DATABASE_URL"),
        ("nebula_keys", "NEBULA_KEYS_DATABASE_URL"),
        ("nebula_worker", "NEBULA_WORKER_DATABASE_URL"),
    ] {
        let password = match env.get(variable).and_then(password_of) {
            Some(password) => password,
            None => {
                let password = random_secret()?;
                set_password(client, role, &password).await?;
                password
            }
        };
        env.set(variable, &url(role, &password, port, DATABASE));
    }
    Ok(())
}

/// Through the socket, where no password is asked: the way in when the environment file was lost.
async fn connect_local(cluster: &Cluster<'_>, port: u16) -> Result<Client, Error> {
    let (client, connection) =
        tokio_postgres::Config::new().host_path(cluster.socket_dir()).port(port).user("postgres").dbname("postgres").connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Sends the verifier, so that the password stands in no log and no statistics view.
async fn set_password(client: &Client, role: &str, password: &str) -> Result<(), Error> {
    let verifier = scram_sha_256(password.as_bytes());
    // Neither can hold a quote: the role is ours, the verifier base64 with `$` and `:`.
    client.batch_execute(&format!("alter role {role} password '{verifier}'")).await?;
    Ok(())
}

/// Passwords are hex, so nothing needs escaping.
fn url(user: &str, password: &str, port: u16, database: &str) -> String {
    format!("postgresql://{user}:{password}@127.0.0.1:{port}/{database}")
}

fn password_of(url: &str) -> Option<String> {
    let config: tokio_postgres::Config = url.parse().ok()?;
    config.get_password().and_then(|password| String::from_utf8(password.to_vec()).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remembered_password_is_found_in_its_url() {
        assert_eq!(password_of(&url("nebula_edge", "ab12", 54_329, DATABASE)).as_deref(), Some("ab12"));
        assert_eq!(password_of("junk"), None);
    }
}
