//! Who calls over HTTP. What they may do is the database's to say; what they present is theirs.

use crate::http::{Answer, Request};
use serde_json::Value;

/// Someone who can send a request.
pub trait Caller {
    /// A request with this caller's credential.
    fn request(&self, method: &str, path: &str) -> Request;

    #[track_caller]
    fn get(&self, path: &str) -> Answer {
        self.request("GET", path).send()
    }
    #[track_caller]
    fn post(&self, path: &str, body: &Value) -> Answer {
        self.request("POST", path).json(body).send()
    }
    #[track_caller]
    fn patch(&self, path: &str, body: &Value) -> Answer {
        self.request("PATCH", path).json(body).send()
    }
    #[track_caller]
    fn put(&self, path: &str, body: &Value) -> Answer {
        self.request("PUT", path).json(body).send()
    }
    #[track_caller]
    fn delete(&self, path: &str) -> Answer {
        self.request("DELETE", path).send()
    }
}

/// Without a credential.
#[derive(Clone)]
pub struct Anonymous {
    pub base: String,
    pub agent: ureq::Agent,
}

impl Caller for Anonymous {
    #[track_caller]
    fn request(&self, method: &str, path: &str) -> Request {
        Request::new(self.agent.clone(), method, &format!("{}{path}", self.base))
    }
}

/// With an access token.
#[derive(Clone)]
pub struct User {
    pub base: String,
    pub agent: ureq::Agent,
    pub token: String,
}

impl Caller for User {
    #[track_caller]
    fn request(&self, method: &str, path: &str) -> Request {
        let request = Request::new(self.agent.clone(), method, &format!("{}{path}", self.base));
        request.header("authorization", format!("Bearer {}", self.token))
    }
}

/// With an API key.
#[derive(Clone)]
pub struct Key {
    pub base: String,
    pub agent: ureq::Agent,
    pub secret: String,
}

impl Caller for Key {
    #[track_caller]
    fn request(&self, method: &str, path: &str) -> Request {
        Request::new(self.agent.clone(), method, &format!("{}{path}", self.base)).header("x-api-key", &self.secret)
    }
}
