//! What verifying found.

use serde::Serialize;
use uuid::Uuid;

/// Something that is not as it was sealed. Without a tenant it is the installation's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<Uuid>,
    /// `YYYY-MM`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub month: Option<String>,
    /// The place among the month's rows, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<Uuid>,
    /// One word for programs.
    pub kind: &'static str,
    pub what: String,
}

impl Finding {
    pub fn of(tenant: Uuid, month: &str, kind: &'static str, what: impl Into<String>) -> Self {
        let month = Some(month.get(..7).unwrap_or(month).to_owned());
        Self { tenant: Some(tenant), month, kind, what: what.into(), ..Self::default() }
    }

    pub fn at(self, position: i64, row: Option<Uuid>) -> Self {
        Self { position: Some(position), row, ..self }
    }

    /// One line.
    pub fn text(&self) -> String {
        let mut place = Vec::new();
        place.extend(self.tenant.map(|tenant| format!("tenant {tenant}")));
        place.extend(self.month.as_ref().map(|month| format!("month {month}")));
        place.extend(self.position.map(|position| format!("position {position}")));
        place.extend(self.row.map(|row| format!("row {row}")));
        let place = if place.is_empty() { "installation".to_owned() } else { place.join(" ") };
        format!("{place}: {} ({})", self.what, self.kind)
    }
}
