//! One HTTP request and its answer.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use serde_json::Value;
use std::time::Duration;
use uuid::Uuid;

/// A client that follows nothing and hides no status.
#[must_use]
pub fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .timeout_global(Some(Duration::from_secs(60)))
        .build()
        .new_agent()
}

/// A request that is being made.
pub struct Request {
    agent: ureq::Agent,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Option<Vec<u8>>,
}

impl Request {
    #[track_caller]
    pub(crate) fn new(agent: ureq::Agent, method: &str, url: &str) -> Self {
        Self { agent, method: method.parse().unwrap(), uri: url.parse().unwrap(), headers: HeaderMap::new(), body: None }
    }

    /// Adds a header; a repeated name stands twice.
    #[must_use]
    #[track_caller]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(value.as_ref()).unwrap());
        self
    }

    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    #[must_use]
    pub fn body(self, content_type: &str, bytes: impl Into<Vec<u8>>) -> Self {
        let mut this = if content_type.is_empty() { self } else { self.header("content-type", content_type) };
        this.body = Some(bytes.into());
        this
    }

    /// With an `Idempotency-Key`.
    #[must_use]
    pub fn key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    #[track_caller]
    pub fn send(self) -> Answer {
        self.try_send().unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    /// For an answer that is no text: status, headers and bytes.
    #[track_caller]
    pub fn download(self) -> (u16, HeaderMap, Vec<u8>) {
        let mut request = http::Request::builder().method(self.method).uri(self.uri);
        *request.headers_mut().unwrap() = self.headers;
        let mut response = self.agent.run(request.body(()).unwrap()).unwrap();
        let bytes = response.body_mut().with_config().limit(1 << 30).read_to_vec().unwrap();
        (response.status().as_u16(), response.headers().clone(), bytes)
    }

    /// For where the connection may break.
    pub fn try_send(self) -> Result<Answer, ureq::Error> {
        let mut request = http::Request::builder().method(self.method).uri(self.uri);
        if let Some(headers) = request.headers_mut() {
            *headers = self.headers;
        }
        let mut response = match self.body {
            Some(body) => self.agent.run(request.body(body).unwrap())?,
            None => self.agent.run(request.body(()).unwrap())?,
        };
        let text = response.body_mut().read_to_string()?;
        Ok(Answer { status: response.status().as_u16(), headers: response.headers().clone(), text })
    }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    #[track_caller]
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Success with this status: the whole envelope, in which `data` stands.
    #[track_caller]
    pub fn envelope(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.header("content-type"), Some("application/json"));
        assert!(self.header("x-request-id").is_some());
        let envelope = self.json();
        let members = envelope.as_object().unwrap();
        assert!(members.contains_key("data") && members.keys().all(|name| name == "data" || name == "meta"), "{envelope}");
        envelope
    }

    /// Success with this status: its `data`.
    #[track_caller]
    pub fn data(&self, status: u16) -> Value {
        self.envelope(status)["data"].take()
    }

    /// 204 without a body.
    #[track_caller]
    pub fn empty(&self) {
        assert_eq!(self.status, 204, "{}", self.text);
        assert_eq!(self.text, "");
    }

    /// A refusal in the error envelope of the contract, section 5; its `details`.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) -> Value {
        assert_eq!((self.status, self.code().as_str()), (status, code), "{}", self.text);
        let envelope = self.json();
        let error = &envelope["error"];
        let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&envelope), ["error"]);
        assert!(names(error).iter().all(|name| ["code", "message", "requestId", "details"].contains(&name.as_str())), "{error}");
        assert!(!error["message"].as_str().unwrap().is_empty());
        assert_eq!(error["requestId"].as_str(), self.header("x-request-id"));
        assert_eq!(self.header("content-type"), Some("application/json"));
        error["details"].clone()
    }

    /// A `VALIDATION_ERROR` over exactly this field and rule.
    #[track_caller]
    pub fn invalid(&self, field: &str, rule: &str) {
        assert_eq!(self.refused(400, "VALIDATION_ERROR"), serde_json::json!([{ "field": field, "rule": rule }]));
    }

    /// A `FORBIDDEN_ACTION` over this action, refused by this condition.
    #[track_caller]
    pub fn forbidden(&self, action: &str, condition: &str) {
        assert_eq!(self.refused(403, "FORBIDDEN_ACTION"), serde_json::json!({ "toolAction": action, "condition": condition }));
    }

    /// The error's code; empty on success.
    #[must_use]
    pub fn code(&self) -> String {
        serde_json::from_str::<Value>(&self.text)
            .ok()
            .and_then(|body| body["error"]["code"].as_str().map(str::to_owned))
            .unwrap_or_default()
    }
}

/// The `id` of an answer's data.
#[track_caller]
#[must_use]
pub fn id(data: &Value) -> Uuid {
    data["id"].as_str().and_then(|id| id.parse().ok()).unwrap_or_else(|| panic!("no id in {data}"))
}
