//! Decrypted credentials for services of the operator: not a route, but a function of this library, for whoever has the worker's login and the sealing
//! keys. Each use is in the tenant's audit log, with what it was for.

use super::keys::LiveKeys;
pub use crate::{auth::KeySource, config::Secret, error::Error};
use crate::{
    auth::{SealingKeys, sealing::Place},
    config::DatabaseUrl,
    db::WorkerDatabase,
};
use std::sync::Arc;
use tokio_postgres::types::Type;
use uuid::Uuid;
use zeroize::Zeroizing;

/// Connections at once; each is held for one statement.
const CONNECTIONS: usize = 4;

/// Reveals tenants' credentials. Cheap to share; within a tokio runtime.
pub struct Credentials {
    database: WorkerDatabase,
    keys: Arc<LiveKeys>,
    service: String,
}

/// Which credential of a tenant.
#[derive(Clone, Copy, Debug)]
pub enum Which<'a> {
    Id(Uuid),
    Named { provider: &'a str, name: &'a str },
}

/// Why there is none to be had.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("there is no such credential")]
    NotFound,
    #[error("the credential has expired")]
    Expired,
    #[error("the tenant is suspended")]
    TenantSuspended,
    /// The database or the key is away, or what is stored was not sealed for this place.
    #[error(transparent)]
    Unavailable(#[from] Error),
}

impl Credentials {
    /// Connects as `nebula_worker`. `service` is who asks, as the audit log shall have it: 1 to 200 characters.
    pub async fn connect(database_url: &str, keys: KeySource, service: &str) -> Result<Self, Error> {
        let url: DatabaseUrl = database_url.parse().map_err(Error::Database)?;
        let database = WorkerDatabase::connect(&url, CONNECTIONS)?;
        let keys = LiveKeys::start(keys, database.clone()).await?;
        Ok(Self { database, keys, service: service.to_owned() })
    }

    /// The JSON text that the tenant gave, wiped from memory when it is dropped. `purpose` is written into the tenant's audit log: 1 to 200 characters.
    pub async fn reveal(&self, tenant: Uuid, which: Which<'_>, purpose: &str) -> Result<Zeroizing<Vec<u8>>, Refused> {
        let (id, provider, name) = match which {
            Which::Id(id) => (Some(id), None, None),
            Which::Named { provider, name } => (None, Some(provider), Some(name)),
        };
        let statement = "select outcome, credential_id, sealed, key_version from nebula.reveal_credential($1, $2, $3, $4, $5, $6)";
        let row = self
            .database
            .row(
                statement,
                &[
                    (&tenant, Type::UUID),
                    (&id, Type::UUID),
                    (&provider, Type::TEXT),
                    (&name, Type::TEXT),
                    (&purpose, Type::TEXT),
                    (&self.service, Type::TEXT),
                ],
            )
            .await
            .map_err(|failure| Error::Database(failure.reason().to_owned()))?;
        match row.try_get::<_, &str>(0).map_err(Error::from)? {
            "revealed" => {}
            "expired" => return Err(Refused::Expired),
            "tenant_suspended" => return Err(Refused::TenantSuspended),
            _ => return Err(Refused::NotFound),
        }
        let (id, sealed, version): (Uuid, Vec<u8>, i32) =
            (row.try_get(1).map_err(Error::from)?, row.try_get(2).map_err(Error::from)?, row.try_get(3).map_err(Error::from)?);
        let version = u16::try_from(version).map_err(|_| Error::SealingKey("a version that is none".to_owned()))?;
        Ok(self.keys.open(Place { tenant, row: id, field: "data" }, version, &sealed).await?)
    }
}
