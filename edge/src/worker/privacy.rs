//! Who was anonymised, written down outside of the database: a restored backup brings people back, and `nebula privacy reapply` takes them out again.

use super::{Context, Job, Outcome};
use crate::storage::{Path, Storage};
use object_store::{ObjectStoreExt, PutPayload};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use uuid::Uuid;

/// The folder of the records.
pub const FOLDER: &str = "privacy";

/// A storage that was forgotten in the settings is not there a minute later.
const WITHOUT_STORAGE: Duration = Duration::from_secs(3600);

/// A person who was anonymised: ids and a time, nothing that leads back.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Erased {
    pub tenant_id: Uuid,
    pub user_id: Uuid,
    /// RFC 3339.
    pub at: String,
}

/// `data` of the job `privacy.erased`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    user_id: Uuid,
    at: String,
}

impl Erased {
    /// `privacy/<tenant>/<user>.json`.
    #[must_use]
    pub fn path(&self) -> Path {
        Path::from_iter([FOLDER, &self.tenant_id.to_string(), &format!("{}.json", self.user_id)])
    }
}

/// Writes the record of a job `privacy.erased`; doing it again writes the same.
pub async fn run(context: &Context, job: &Job) -> Outcome {
    let Some(storage) = &context.storage else {
        return Outcome::Retry { error: "no storage is configured (storage_url)".to_owned(), after: Some(WITHOUT_STORAGE) };
    };
    match (job.tenant, serde_json::from_value::<Data>(job.data.clone())) {
        (Some(tenant_id), Ok(Data { user_id, at })) => write(storage, &Erased { tenant_id, user_id, at }).await,
        _ => Outcome::Dead { error: "the job names nobody".to_owned() },
    }
}

async fn write(storage: &Storage, erased: &Erased) -> Outcome {
    let Ok(text) = serde_json::to_vec(erased) else { return Outcome::Dead { error: "the record cannot be written".to_owned() } };
    match storage.put(&erased.path(), PutPayload::from(text)).await {
        Ok(_) => Outcome::Done,
        // The error may quote a path or an address of the storage: the log's, not the tenant's.
        Err(error) => {
            tracing::warn!("the record of an anonymised person was not written: {error}");
            Outcome::Retry { error: "the storage did not take the record".to_owned(), after: None }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{
        auth::{LocalKeys, RegisteredKeys},
        config::{Config, Settings},
        db::WorkerDatabase,
        storage,
    };
    use serde_json::{Value, json};
    use std::{fs, path::PathBuf, sync::Arc};

    fn context(folder: Option<&PathBuf>) -> Context {
        let settings = Settings {
            worker_database_url: Some("postgresql://nebula_worker@127.0.0.1:1/nebula".parse().unwrap()),
            storage_url: folder.map(|folder| format!("file://{}", folder.display())),
            ..Settings::default()
        };
        let config = Config::of(settings);
        Context {
            worker: "test".to_owned(),
            database: WorkerDatabase::new(&config).unwrap(),
            telemetry: crate::telemetry::Telemetry::default(),
            keys: Arc::new(RegisteredKeys::new(LocalKeys::from_iter([]), std::collections::BTreeMap::new())),
            storage: storage::open(&config).unwrap(),
            config,
        }
    }

    fn job(tenant: Option<Uuid>, data: Value) -> Job {
        Job { id: Uuid::now_v7(), tenant, kind: "privacy.erased".to_owned(), data, attempt: 1 }
    }

    #[tokio::test]
    async fn a_record_holds_two_ids_and_a_time_and_may_be_written_again() {
        let folder = std::env::temp_dir().join(format!("nebula-privacy-{}", Uuid::now_v7()));
        let (tenant, user) = (Uuid::now_v7(), Uuid::now_v7());
        let context = context(Some(&folder));
        let job = job(Some(tenant), json!({ "userId": user, "at": "2026-11-22T08:00:00Z" }));
        for _ in 0..2 {
            assert_eq!(run(&context, &job).await, Outcome::Done);
        }
        let text = fs::read_to_string(folder.join(format!("privacy/{tenant}/{user}.json"))).unwrap();
        assert_eq!(text, format!(r#"{{"tenantId":"{tenant}","userId":"{user}","at":"2026-11-22T08:00:00Z"}}"#));
        fs::remove_dir_all(folder).unwrap();
    }

    #[tokio::test]
    async fn without_a_storage_it_waits_and_without_a_person_it_is_dead() {
        let right = job(Some(Uuid::now_v7()), json!({ "userId": Uuid::now_v7(), "at": "x" }));
        assert!(matches!(run(&context(None), &right).await, Outcome::Retry { after: Some(_), .. }));
        let folder = std::env::temp_dir().join(format!("nebula-privacy-{}", Uuid::now_v7()));
        let context = context(Some(&folder));
        for wrong in [job(None, right.data.clone()), job(right.tenant, json!({ "userId": "../../etc" }))] {
            assert!(matches!(run(&context, &wrong).await, Outcome::Dead { .. }));
        }
        fs::remove_dir_all(folder).unwrap();
    }
}
