//! The one table of error codes (contract, section 5): code, HTTP status, message in Portuguese and English.

use std::fmt;

/// The language of `error.message`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    #[default]
    Portuguese,
    English,
}

impl Language {
    /// Reads an `Accept-Language` value: the supported language with the highest quality, Portuguese where none is named.
    ///
    /// RFC 9110, section 12.5.4. Junk is ignored: a header that informs a message refuses no request.
    #[must_use]
    pub fn from_accept_language(value: &str) -> Self {
        let mut best = (Language::Portuguese, 0.0_f32);
        for range in value.split(',').take(16) {
            let mut parts = range.split(';');
            let tag = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
            let language = match tag.split('-').next() {
                Some("pt") => Language::Portuguese,
                Some("en") => Language::English,
                _ => continue,
            };
            let quality = parts.find_map(|p| p.trim().strip_prefix(['q', 'Q'])?.strip_prefix('=')?.parse::<f32>().ok()).unwrap_or(1.0);
            if quality > best.1 {
                best = (language, quality);
            }
        }
        best.0
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $status:literal, $pt:literal, $en:literal;)*) => {
        /// A stable error code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$doc])* $variant,)* }

        impl Code {
            /// Every code, in the order of the contract.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)*];

            /// The code as clients see it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $code,)* }
            }

            /// The HTTP status; a SQL caller sees it as SQLSTATE `PTnnn`.
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(Code::$variant => $status,)* }
            }

            /// The short, safe message.
            #[must_use]
            pub fn message(self, language: Language) -> &'static str {
                match (self, language) {
                    $((Code::$variant, Language::Portuguese) => $pt,
                      (Code::$variant, Language::English) => $en,)*
                }
            }
        }
    };
}

codes! {
    ValidationError = "VALIDATION_ERROR", 400, "Os dados enviados são inválidos.", "The request is not valid.";
    TenantMismatch = "TENANT_MISMATCH", 400, "O tenant do cabeçalho difere do tenant da credencial.", "The tenant in the header differs from the credential's.";
    Unauthorized = "UNAUTHORIZED", 401, "Autenticação necessária.", "Authentication is required.";
    InvalidToken = "INVALID_TOKEN", 401, "Credencial inválida.", "The credential is not valid.";
    TokenExpired = "TOKEN_EXPIRED", 401, "A credencial expirou.", "The credential has expired.";
    InvalidCredentials = "INVALID_CREDENTIALS", 401, "E-mail ou senha incorretos.", "Wrong e-mail or password.";
    TenantNotFound = "TENANT_NOT_FOUND", 401, "Tenant não encontrado.", "The tenant was not found.";
    TenantSuspended = "TENANT_SUSPENDED", 403, "O tenant está suspenso.", "The tenant is suspended.";
    UserSuspended = "USER_SUSPENDED", 403, "O acesso está suspenso.", "The access is suspended.";
    ForbiddenAction = "FORBIDDEN_ACTION", 403, "Ação não permitida.", "The action is not allowed.";
    NotFound = "NOT_FOUND", 404, "Recurso não encontrado.", "The resource was not found.";
    MethodNotAllowed = "METHOD_NOT_ALLOWED", 405, "Método não permitido.", "The method is not allowed.";
    Conflict = "CONFLICT", 409, "A operação conflita com o estado atual.", "The operation conflicts with the current state.";
    DuplicateResource = "DUPLICATE_RESOURCE", 409, "O recurso já existe.", "The resource already exists.";
    IdempotencyInProgress = "IDEMPOTENCY_IN_PROGRESS", 409, "Uma requisição com a mesma chave ainda está em andamento.", "A request with the same key is still running.";
    PayloadTooLarge = "PAYLOAD_TOO_LARGE", 413, "O corpo da requisição é grande demais.", "The request body is too large.";
    UnsupportedMediaType = "UNSUPPORTED_MEDIA_TYPE", 415, "O tipo de conteúdo não é suportado.", "The content type is not supported.";
    IdempotencyKeyReused = "IDEMPOTENCY_KEY_REUSED", 422, "A chave de idempotência já foi usada com outra requisição.", "The idempotency key was used with another request.";
    RateLimited = "RATE_LIMITED", 429, "Muitas requisições. Tente novamente mais tarde.", "Too many requests. Try again later.";
    QuotaExceeded = "QUOTA_EXCEEDED", 429, "A cota foi excedida.", "The quota is exceeded.";
    InternalError = "INTERNAL_ERROR", 500, "Erro interno.", "Internal error.";
    DatabaseError = "DATABASE_ERROR", 500, "Erro no banco de dados.", "Database error.";
    ServiceUnavailable = "SERVICE_UNAVAILABLE", 503, "Serviço temporariamente indisponível.", "The service is temporarily unavailable.";
    SchemaOutdated = "SCHEMA_OUTDATED", 503, "O banco de dados precisa de migração.", "The database needs a migration.";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The error envelope `{"error": {code, message, requestId, details?}}`.
#[must_use]
pub fn envelope(code: Code, language: Language, request_id: &str, details: Option<&serde_json::Value>) -> serde_json::Value {
    let mut error = serde_json::json!({
        "code": code.as_str(),
        "message": code.message(language),
        "requestId": request_id,
    });
    if let (Some(details), Some(object)) = (details, error.as_object_mut()) {
        object.insert("details".to_owned(), details.clone());
    }
    serde_json::json!({ "error": error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_language_takes_the_highest_quality_and_falls_back_to_portuguese() {
        for (value, expected) in [
            ("", Language::Portuguese),
            ("en", Language::English),
            ("en-US,en;q=0.9", Language::English),
            ("pt-BR, en;q=0.8", Language::Portuguese),
            ("fr, en;q=0.4, pt;q=0.3", Language::English),
            ("de", Language::Portuguese),
            ("en;q=junk", Language::English),
            ("en;Q=0.4, pt;Q=0.5", Language::Portuguese),
        ] {
            assert_eq!(Language::from_accept_language(value), expected, "{value}");
        }
    }

    #[test]
    fn every_code_is_upper_snake_and_has_an_error_status() {
        for code in Code::ALL {
            assert!(code.as_str().bytes().all(|b| b.is_ascii_uppercase() || b == b'_'));
            assert!((400..600).contains(&code.status()));
        }
    }
}
