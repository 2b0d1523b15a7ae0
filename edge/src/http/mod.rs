//! HTTP: connections, the way of a request through the edge, and its answer. Read `pipeline` first.

mod answer;
mod app;
mod body;
pub(crate) mod client_address;
mod deprecation;
mod docs;
mod document;
mod download;
mod foreign;
mod frame;
mod handle_request;
pub(crate) mod headers;
mod health;
mod live_state;
mod observe;
mod passwords;
mod payload;
mod pipeline;
pub(crate) mod query;
mod rate_limit;
mod refusal;
mod request_log;
mod route_table;
mod seals;
mod served_route;
mod server;
pub(crate) mod strict_json;
#[cfg(test)]
mod tests;
mod waiting;

pub use app::App;
pub use server::serve;
