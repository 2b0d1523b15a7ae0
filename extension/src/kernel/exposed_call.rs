//! Calls an exposed function and reads how it ended. The function runs in a subtransaction of `nebula.run_exposed`, in plpgsql: what fails has no
//! effect, its SQLSTATE arrives as a value, and nothing of Postgres is caught in Rust.

use super::{
    audit,
    custom_operation::Custom,
    error::{Refusal, Result},
    exposed_function::Function,
    operation::{Call, Kind, Reply},
    outbox::{self, Details},
    spi::{self, Arg, Exposed},
};
use nebula_core::error::Code;
use serde::Deserialize;
use serde_json::{Value, json};

/// An answer, at most; one that is an event as well must fit into it.
const MAX_ANSWER_BYTES: i32 = 8 << 20;
const MAX_EVENT_BYTES: i32 = 200_000;
/// What a function may say in `details`.
const MAX_DETAIL_BYTES: usize = 4096;

/// Runs it, and records what it did.
pub fn run(custom: &Custom, function: &Function, statement: &str, arguments: &[Option<String>], call: &Call) -> Result<Reply> {
    let is_read = custom.kind == Kind::Read;
    let writes = spi::writes();
    let ended = spi::run_exposed(&Exposed {
        role: &function.runner,
        statement,
        arguments,
        search_path: &function.search_path,
        is_read,
        max_rows: custom.options.max_rows,
        max_bytes: if custom.options.event.is_some() { MAX_EVENT_BYTES } else { MAX_ANSWER_BYTES },
        // One thing that is asked for by its path and isn't there.
        is_missing_if_null: !custom.path.parameters.is_empty() && !function.returns_nothing() && !function.returns_list(),
    });
    let text = |index: usize| ended.get(index).cloned().flatten();
    if let Some(state) = text(1) {
        // With the subtransaction went what operations inside of it had written.
        spi::forget_writes_since(writes);
        let failure = Failure { state, detail: text(2), domain: text(3), message: text(4) };
        return Err(failure.refusal(custom, function, is_read));
    }
    let answer = if function.returns_nothing() { None } else { Some(text(0).unwrap_or_else(|| "null".to_owned())) };
    if !is_read {
        // From here on a refusal would leave half of it: the pipeline turns it into an error.
        spi::count_write();
        record(custom, answer.as_deref(), call)?;
    }
    Ok(answer.map_or_else(Reply::none, Reply::data))
}

fn record(custom: &Custom, answer: Option<&str>, call: &Call) -> Result<()> {
    let told = json!({ "outcome": "done", "operation": custom.operation_id(), "version": custom.version });
    audit::record(call.tenant(), "operation", Some(custom.id), &told);
    if let Some(event) = &custom.options.event {
        let data = match answer {
            Some(object) if object.starts_with('{') => object.to_owned(),
            Some(other) => format!("{{\"result\":{other}}}"),
            None => "{}".to_owned(),
        };
        outbox::emit_custom(call.tenant(), event, Arg::Json(&data).make(), Details::default())?;
    }
    Ok(())
}

/// An error that the function ended with.
struct Failure {
    state: String,
    detail: Option<String>,
    domain: Option<String>,
    /// Of SQLSTATE class 42 alone, whose texts name objects and no data.
    message: Option<String>,
}

/// What a function that refuses may say in the error's `DETAIL`, as `nebula.call` itself does.
#[derive(Deserialize)]
struct Said {
    code: Option<String>,
    details: Option<Value>,
}

impl Failure {
    fn refusal(&self, custom: &Custom, function: &Function, is_read: bool) -> Refusal {
        let state = self.state.as_str();
        match state {
            "NB001" => return Refusal::invalid("", "too_many_rows"),
            "NB002" => return Refusal::invalid("", "answer_too_long"),
            "23505" => return Code::DuplicateResource.into(),
            "23503" | "23001" | "23P01" => return Code::Conflict.into(),
            "P0002" => return Code::NotFound.into(),
            "42501" => return Refusal::forbidden(&custom.action, "insufficient_privilege"),
            "40001" | "40P01" | "55P03" => return unavailable(),
            "25006" if !is_read => return unavailable(),
            _ => {}
        }
        if state.starts_with("53") {
            return unavailable();
        }
        if state.starts_with("22") || matches!(state, "23514" | "23502") {
            let field = self.domain.as_deref().and_then(|domain| function.field_of_domain(domain));
            return Refusal::invalid(field.unwrap_or_default(), "function");
        }
        if let Some(status) = state.strip_prefix("PT").and_then(|digits| digits.parse().ok()).filter(|status| (400..500).contains(status)) {
            return self.said(status);
        }
        let message = self.message.as_deref().map(|message| format!(": {message}")).unwrap_or_default();
        pgrx::log!("the custom operation {} failed in {} with SQLSTATE {state}{message}", custom.operation_id(), function.signature);
        Code::InternalError.into()
    }

    /// The function's own refusal, with any 4xx.
    fn said(&self, status: u16) -> Refusal {
        let said = self
            .detail
            .as_deref()
            .filter(|detail| detail.len() <= MAX_DETAIL_BYTES)
            .and_then(|detail| serde_json::from_str::<Said>(detail).ok());
        let (code, details) = said.map_or((None, None), |said| (said.code, said.details));
        let code = code.and_then(|code| Code::ALL.iter().copied().find(|known| known.as_str() == code && known.status() == status));
        let mut refusal = Refusal::from(code.unwrap_or_else(|| usual(status)));
        refusal.own_status = Some(status);
        refusal.details = details.filter(|details| details.is_object() || details.is_array());
        refusal
    }
}

/// The code of a status.
fn usual(status: u16) -> Code {
    match status {
        401 => Code::Unauthorized,
        402 | 403 | 451 => Code::ForbiddenAction,
        404 | 410 => Code::NotFound,
        405 => Code::MethodNotAllowed,
        409 | 412 | 423 | 428 => Code::Conflict,
        413 => Code::PayloadTooLarge,
        415 => Code::UnsupportedMediaType,
        429 => Code::RateLimited,
        _ => Code::ValidationError,
    }
}

fn unavailable() -> Refusal {
    Refusal { retry_after_seconds: Some(1), ..Refusal::from(Code::ServiceUnavailable) }
}
