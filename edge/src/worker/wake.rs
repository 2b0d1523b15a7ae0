//! Being woken by the database as soon as there is something to do: one connection waits there. A poll stands behind it.

use super::{
    Context,
    patience::Patience,
    queue::{self, Work},
};
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

/// Whom to tell: who hands events on, and who claims jobs. A statement for nothing at each event would cost about as much as handing it on.
pub struct Listeners {
    pub events: watch::Sender<()>,
    pub jobs: watch::Sender<()>,
}

/// Tells whenever something was committed that is to be done. Never returns.
pub async fn listen(context: Arc<Context>, listeners: Listeners) {
    let mut patience = Patience::with("wait for work");
    let mut session = None;
    loop {
        match wait(&context, &mut session).await {
            Ok(Work { events, jobs }) => {
                patience.rewarded();
                if events {
                    listeners.events.send_replace(());
                }
                if jobs {
                    listeners.jobs.send_replace(());
                }
                if events || jobs {
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

async fn wait(context: &Context, session: &mut Session) -> Result<Work, Failure> {
    let session = match session {
        Some(session) => session,
        None => session.insert(context.database.client().await?),
    };
    queue::await_work(context, session, WAIT).await
}
