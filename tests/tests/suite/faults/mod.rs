mod backup;
mod database_away;
mod dump_formats;
mod dump_restore;
mod outbox;
mod pooler;
mod rolling_restart;
