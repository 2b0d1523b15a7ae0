//! Being woken by the database as soon as there is something to do: one connection waits there. A poll stands behind it.

use super::{Context, patience::Patience, queue};
use crate::db::Failure;
use deadpool_postgres::Object;
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time::sleep};

/// How long one statement waits. Short, since a statement that runs holds back the clean-up of finished rows, which everybody who claims then reads past
/// (measured: with 5 s a worker came down from 30,000 jobs a second to 9,000).
const WAIT: Duration = Duration::from_millis(200);

/// Under a steady load work is told of this often: the first at once, what comes within this time together.
pub const PACE: Duration = Duration::from_millis(10);

/// Each session knows what it has told of: a wait in another one would tell of the same again. So one is kept for all of them.
type Session = Option<Object>;

/// Tells whenever something was committed that may be claimed. Never returns.
pub async fn listen(context: Arc<Context>, work: watch::Sender<()>) {
    let mut patience = Patience::with("wait for work");
    let mut session = None;
    loop {
        match wait(&context, &mut session).await {
            Ok(is_there) => {
                patience.rewarded();
                if is_there {
                    work.send_replace(());
                    sleep(PACE).await;
                }
            }
            Err(failure) => {
                // Not back to the others: it may be broken, or another server's.
                session.take().map(Object::take);
                sleep(patience.after(&failure)).await;
            }
        }
    }
}

async fn wait(context: &Context, session: &mut Session) -> Result<bool, Failure> {
    let session = match session {
        Some(session) => session,
        None => session.insert(context.database.client().await?),
    };
    queue::wait_for_work(context, session, WAIT).await
}
