//! Tokens of other issuers at the edge: verified before they cost a connection, and newer keys fetched where one names a key that nobody knows.

use super::{app::App, live_state::Snapshot};
use crate::{
    auth::{ForeignRefused, ForeignRing, Refused, Verified},
    error::Error,
    issuers::{Renewed, Turn},
};
use nebula_core::foreign_token::Unverified;
use std::time::Duration;
use tokio::time::sleep;

/// Verifies a token; the tenant that it names, and its end. `now` is asked for each time, in seconds since the epoch.
pub async fn verify(app: &App, state: &Snapshot, credential: &str, now: fn() -> i64) -> Result<Verified, Refused> {
    let token = Unverified::read(credential).map_err(|_| Refused::Invalid)?;
    let ask = |ring: &ForeignRing| ring.verify(&token, now());
    let first = ask(&state.foreign);
    match first {
        Err(ForeignRefused::UnknownKey) if renewed(app, token.issuer()).await => {}
        // Another edge, or a DBA, may have registered what this one hasn't read yet.
        Err(ForeignRefused::UnknownKey | ForeignRefused::UnknownIssuer) => app.live.reload_for_unknown_key().await,
        _ => {}
    }
    let verdict = match first {
        Err(ForeignRefused::UnknownKey | ForeignRefused::UnknownIssuer) => app.live.current().map_or(first, |state| ask(&state.foreign)),
        verdict => verdict,
    };
    verdict.map_err(|refused| match refused {
        ForeignRefused::Expired => Refused::Expired,
        ForeignRefused::Invalid | ForeignRefused::UnknownIssuer | ForeignRefused::UnknownKey => Refused::Invalid,
    })
}

/// Has an issuer's keys fetched unless that was done just now, and waits for it; whether there was something to wait for.
async fn renewed(app: &App, issuer: &str) -> bool {
    if !app.renewal.is_on() {
        return false;
    }
    let over = match app.renewal.ask(issuer) {
        Turn::Fetch(done) => {
            let (over, app, issuer) = (done.subscribe(), app.clone(), issuer.to_owned());
            // A task of its own: the request that asked may give up before the issuer answers.
            tokio::spawn(async move {
                if tell(app.renewal.renew(Some(&issuer)).await).has_changed {
                    app.live.reload().await;
                }
                drop(done);
            });
            over
        }
        Turn::Wait(over) => over,
        Turn::Recent => return false,
    };
    app.renewal.wait(over).await;
    true
}

/// Fetches every issuer's keys at the start and then by the interval. Never returns. The state is read again by the database's notification.
pub async fn keep_fresh(app: &App) {
    let interval = app.renewal.interval;
    loop {
        let told = tell(app.renewal.renew(None).await);
        // Keys stay as they are while an issuer is away; it is asked again sooner.
        sleep(if told.has_failed { (interval / 12).max(Duration::from_secs(1)) } else { interval }).await;
    }
}

struct Told {
    has_changed: bool,
    has_failed: bool,
}

/// Logs what came of a renewal.
fn tell(outcome: Result<Vec<Renewed>, Error>) -> Told {
    let mut told = Told { has_changed: false, has_failed: false };
    let renewed = outcome.unwrap_or_else(|error| {
        tracing::warn!("cannot renew other issuers' keys: {error}");
        told.has_failed = true;
        Vec::new()
    });
    for one in renewed {
        match one.outcome {
            Ok(0) => {}
            Ok(changed) => {
                told.has_changed = true;
                tracing::info!("keys of {} renewed: {changed} changed", one.issuer);
            }
            Err(error) => {
                told.has_failed = true;
                tracing::warn!("keys of {} not renewed: {error}", one.issuer);
            }
        }
    }
    told
}
