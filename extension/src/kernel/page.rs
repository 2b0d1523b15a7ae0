//! Lists: keyset pages with a closed list of sorts, and filters.
//!
//! A page costs the same wherever it lies: `(sort column, id) < (…)` is one range of the index `(tenant_id, sort column, id)`.

use super::{
    context::Caller,
    error::{Refusal, Result},
    installation,
    operation::{Reply, Sorts},
    spi::{self, Arg, Shape},
};
use nebula_core::{
    cursor::{self, Position},
    error::Code,
    text::{Description, Instant, Search},
};
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

/// `ativo` or `suspenso`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Ativo,
    Suspenso,
}

impl Status {
    /// A reason is given when a person suspends, and only then.
    pub fn check_reason(self, reason: Option<&Description>) -> Result<()> {
        if self == Status::Ativo && reason.is_some() { Err(Refusal::invalid("suspendedReason", "only_when_suspending")) } else { Ok(()) }
    }

    /// The same in the schema of an input, for `#[schemars(transform)]`.
    pub fn reason_only_when_suspending(schema: &mut Schema) {
        schema
            .insert("if".to_owned(), json!({ "properties": { "suspendedReason": { "type": "string" } }, "required": ["suspendedReason"] }));
        schema.insert("then".to_owned(), json!({ "properties": { "status": { "const": "suspenso" } }, "required": ["status"] }));
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Ativo => "ativo",
            Status::Suspenso => "suspenso",
        }
    }
}

/// How many rows a page has: 1 to 200. In a query it arrives as text.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Limit(i64);

impl Limit {
    #[must_use]
    pub fn rows(self) -> i64 {
        self.0
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(50)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written<'a> {
            Number(i64),
            Text(std::borrow::Cow<'a, str>),
        }
        let number = match Written::deserialize(deserializer) {
            Ok(Written::Number(number)) => Some(number),
            Ok(Written::Text(text)) if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
            _ => None,
        };
        number.filter(|n| (1..=200).contains(n)).map(Limit).ok_or_else(|| serde::de::Error::custom("rule=range"))
    }
}

impl JsonSchema for Limit {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Limit".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "integer", "minimum": 1, "maximum": 200, "default": 50 })
    }
}

/// What every list takes. A list that lacks a filter refuses it in `List::filters`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListInput {
    #[serde(default)]
    pub limit: Limit,
    pub cursor: Option<String>,
    /// `column:asc` or `column:desc`.
    pub sort: Option<String>,
    pub status: Option<Status>,
    pub q: Option<Search>,
    pub created_at_from: Option<Instant>,
    pub created_at_to: Option<Instant>,
}

impl ListInput {
    /// Of a list that takes a place and an order, and no filter of these.
    #[must_use]
    pub fn page(limit: Limit, cursor: Option<String>, sort: Option<String>) -> Self {
        Self { limit, cursor, sort, ..Self::default() }
    }

    /// With the times between which a row was made.
    #[must_use]
    pub fn created(self, from: Option<Instant>, to: Option<Instant>) -> Self {
        Self { created_at_from: from, created_at_to: to, ..self }
    }
}

/// A list of one resource, as SQL.
pub struct List<'a> {
    /// The resource's name: cursors of one list open no other.
    pub name: &'static str,
    /// `from … where …`, with the tenant as $1 and the parent as $2 where the list has them.
    pub from: &'static str,
    /// The alias of the row, which has `created_at` and `id`.
    pub alias: &'static str,
    /// The columns of one row, which are its members as JSON.
    pub columns: &'static str,
    pub sorts: Sorts,
    /// The expression that `q` searches, with `%q` for the parameter; `None` where the list has no `q`.
    pub search: Option<&'static str>,
    pub has_status: bool,
    /// Further conditions: SQL with `%1` for the parameter, and its value.
    pub filters: &'a [(&'static str, Option<String>)],
    /// $1 in `from`.
    pub tenant: Option<Uuid>,
    /// $2 in `from`: what the list hangs under.
    pub parent: Option<Uuid>,
}

impl List<'_> {
    /// One page.
    pub fn page(&self, caller: &Caller, input: &ListInput) -> Result<Reply> {
        if input.q.is_some() && self.search.is_none() {
            return Err(Refusal::invalid("q", "unknown"));
        }
        if input.status.is_some() && !self.has_status {
            return Err(Refusal::invalid("status", "unknown"));
        }
        let (column, cast, descending) = self.sort(input.sort.as_deref())?;
        let secret = &installation::current().secret;
        let status = input.status.map(Status::as_str);
        let q = input.q.as_ref().map(Search::as_str);
        let (from, to) = (input.created_at_from.as_ref().map(Instant::as_str), input.created_at_to.as_ref().map(Instant::as_str));
        let filter_values = self.filters.iter().map(|(_, value)| value.as_deref()).collect::<Vec<_>>();
        let scope = json!([caller.tenant, self.name, self.parent, column, descending, status, q, from, to, filter_values]).to_string();
        let position = match &input.cursor {
            Some(text) => Some(cursor::open(secret, &scope, text).ok_or_else(|| Refusal::invalid("cursor", "cursor"))?),
            None => None,
        };

        let alias = self.alias;
        let (order, comparison) = if descending { ("desc", "<") } else { ("asc", ">") };
        let mut sql =
            format!("select {columns}, {alias}.{column} as value, {alias}.id as row_id {from}", columns = self.columns, from = self.from);
        let mut args = vec![Arg::OptUuid(self.tenant), Arg::OptUuid(self.parent), Arg::BigInt(input.limit.0 + 1)];
        let mut push = |condition: String| {
            sql.push_str(" and ");
            sql.push_str(&condition);
        };
        if let Some(status) = status {
            // As a literal, one of two: the plan may use an index of the few that are suspended.
            push(format!("{alias}.status = '{status}'"));
        }
        if let (Some(q), Some(search)) = (q, self.search) {
            args.push(Arg::Text(q));
            push(search.replace("%q", &format!("${}", args.len())));
        }
        if let Some(from) = from {
            args.push(Arg::Text(from));
            push(format!("{alias}.created_at >= ${}::timestamptz", args.len()));
        }
        if let Some(to) = to {
            args.push(Arg::Text(to));
            push(format!("{alias}.created_at < ${}::timestamptz", args.len()));
        }
        for (condition, value) in self.filters {
            if let Some(value) = value {
                args.push(Arg::Text(value));
                push(condition.replace("%1", &format!("${}", args.len())));
            }
        }
        if let Some(position) = &position {
            args.push(Arg::Text(&position.value));
            args.push(Arg::Uuid(position.id));
            push(format!("({alias}.{column}, {alias}.id) {comparison} (${}::{cast}, ${})", args.len() - 1, args.len()));
        }
        sql.push_str(&format!(" order by {alias}.{column} {order}, {alias}.id {order} limit $3"));

        let wanted = usize::try_from(input.limit.0).unwrap_or(50);
        let (mut data, mut shape, mut count, mut last) = (vec![b'['], None, 0, None);
        spi::rows(&sql, &args, |row| {
            count += 1;
            if count > wanted {
                return;
            }
            if count > 1 {
                data.push(b',');
            }
            shape.get_or_insert_with(|| Shape::of(row, 2)).write(row, &mut data);
            if count == wanted {
                last = row.last_uuid().map(|id| Position { value: row.last_but_one_text(), id });
            }
        });
        data.push(b']');
        let has_more = count > wanted;
        let next = match last {
            Some(position) if has_more => Some(cursor::seal(secret, &scope, &position).ok_or(Code::InternalError)?),
            _ => None,
        };
        Ok(Reply {
            data: Some(spi::text_of(data)),
            meta: Some(json!({ "nextCursor": next, "hasMore": has_more }).to_string()),
            ..Reply::default()
        })
    }

    /// The sort's column, its SQL type and whether it descends; newest first where none is named.
    fn sort(&self, sort: Option<&str>) -> Result<(&'static str, &'static str, bool)> {
        let Some(sort) = sort else {
            let (column, cast) = self.sorts.first().copied().ok_or(Code::InternalError)?;
            return Ok((column, cast, true));
        };
        let refusal = || Refusal::invalid("sort", "sort");
        let (name, direction) = sort.split_once(':').ok_or_else(refusal)?;
        let (column, cast) = self.sorts.iter().copied().find(|(column, _)| *column == name).ok_or_else(refusal)?;
        match direction {
            "asc" => Ok((column, cast, false)),
            "desc" => Ok((column, cast, true)),
            _ => Err(refusal()),
        }
    }
}
