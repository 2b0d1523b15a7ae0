//! What a worker needs to deliver webhooks, and what it tells of it.
