//! The harness: one private Postgres a run, a database a test, the real `nebula serve` where HTTP is asked for. Nothing is mocked.
//!
//! `cluster` starts Postgres and makes the template, `database` copies it, `edge` serves it, `worker` works on it, `callers` speak HTTP, `handle` speaks as the edge's
//! login, `sql_caller` as PostgREST or as a bound login, `token` signs what the edge would sign and what it never would, `issuer` what others sign,
//! `supabase` is a cluster like Supabase's images, `supabase_gateway` what an application sees of it, `balancer` what stands before several edges.
//! `supabase` is a cluster like Supabase's images, `battery` counts what an attack tries and `field` says where it can put something.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a harness that fails, fails the test"
)]

pub mod archive;
pub mod audit_chain;
pub mod backend;
pub mod balancer;
pub mod battery;
pub mod callers;
pub mod catalog;
pub mod certificates;
pub mod cluster;
pub mod conformity;
pub mod database;
pub mod edge;
pub mod exposed;
pub mod field;
pub mod gate;
pub mod handle;
pub mod http;
pub mod issuer;
pub mod jose;
pub mod jwks_server;
pub mod mutation;
pub mod object_storage;
pub mod parallel;
pub mod pgbouncer;
pub mod previous;
pub mod process;
pub mod queue;
pub mod receiver;
pub mod retention;
pub mod route;
pub mod scrape;
pub mod shop;
pub mod sql_caller;
pub mod standard_webhooks;
pub mod story;
pub mod supabase;
pub mod supabase_gateway;
pub mod telemetry;
pub mod tls_proxy;
pub mod token;
pub mod traces;
pub mod wait;
pub mod worker;
pub mod world;

pub use archive::Archive;
pub use audit_chain::AuditChain;
pub use backend::Backend;
pub use balancer::Balancer;
pub use battery::Battery;
pub use callers::{Anonymous, Caller, Key, User};
pub use certificates::Authority;
pub use cluster::Library;
pub use database::Database;
pub use edge::Edge;
pub use field::{Field, fields};
pub use gate::Gate;
pub use handle::{Handle, Handled};
pub use http::Answer;
pub use issuer::Issuer;
pub use jose::Jose;
pub use jwks_server::JwksServer;
pub use object_storage::ObjectStorage;
pub use parallel::parallel;
pub use pgbouncer::PgBouncer;
pub use previous::Previous;
pub use process::Process;
pub use queue::{Leased, Queue};
pub use receiver::{Behaviour, Received, Receiver};
pub use retention::Retention;
pub use route::{Route, routes};
pub use scrape::Scrape;
pub use shop::Shop;
pub use story::{Tenant, onboard, onboard_by_sql};
pub use supabase::Supabase;
pub use supabase_gateway::SupabaseGateway;
pub use telemetry::{Reports, Spans};
pub use tls_proxy::TlsProxy;
pub use token::Signer;
pub use wait::eventually;
pub use worker::Worker;
pub use world::World;
