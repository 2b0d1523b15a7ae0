//! Our HTTP client, as OpenTelemetry's exporter wants one.

use super::super::client::Client;
use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};

#[derive(Debug)]
pub struct Exporter(pub Client);

#[async_trait]
impl HttpClient for Exporter {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        Ok(self.0.send(request).await?)
    }
}
