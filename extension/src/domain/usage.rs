//! What a tenant has used.

use crate::kernel::{
    error::{Refusal, Result},
    installation,
    operation::{Call, Kind, Method::Get, Operation, Reply, shape},
    page::Limit,
    spi::{self, Arg},
};
use nebula_core::{
    cursor::{self, Position},
    error::Code,
    text::{Instant, Key},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

#[must_use]
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::new("usage.read", (Get, "/v1/usage"), Kind::Read, read)
            .lists::<Usage>()
            .summary("Mostra o uso por ação e período", "Shows use by action and period"),
    ]
}

/// The length of a period, in UTC.
#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Granularity {
    Hour,
    #[default]
    Day,
    Month,
}

impl Granularity {
    fn as_str(self) -> &'static str {
        match self {
            Granularity::Hour => "hour",
            Granularity::Day => "day",
            Granularity::Month => "month",
        }
    }
}

shape! {
    /// Successful calls of an action in a period.
    Usage {
        action: String,
        period_start: Instant,
        /// Belongs to the next period.
        period_end: Instant,
        count: u64,
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ReadUsage {
    /// The first instant, rounded down to its period; absent: 30 days ago.
    from: Option<Instant>,
    /// The instant after the last; absent: now.
    to: Option<Instant>,
    #[serde(default)]
    granularity: Granularity,
    action: Option<Key>,
    #[serde(default)]
    limit: Limit,
    cursor: Option<String>,
}

/// From the oldest period to the newest, in each by action. Numbers are up to a flush interval late.
fn read(call: &Call, input: ReadUsage) -> Result<Reply> {
    let (from, to) = (input.from.as_ref().map(Instant::as_str), input.to.as_ref().map(Instant::as_str));
    let is_backwards =
        input.from.as_ref().zip(input.to.as_ref()).is_some_and(|(from, to)| from.unix_microseconds() > to.unix_microseconds());
    if is_backwards {
        return Err(Refusal::invalid("to", "before_from"));
    }
    let action = input.action.as_ref().map(Key::as_str);
    let secret = &installation::current().secret;
    let scope = json!([call.tenant(), "usage", from, to, input.granularity.as_str(), action]).to_string();
    let position = match &input.cursor {
        Some(text) => Some(cursor::open(secret, &scope, text).ok_or_else(|| Refusal::invalid("cursor", "cursor"))?),
        None => None,
    };
    let wanted = input.limit.rows();
    let mut rows = spi::rows(
        "select json_build_object('action', a.key, 'periodStart', p.start at time zone 'utc', \
           'periodEnd', (p.start + ('1 ' || $4)::interval) at time zone 'utc', 'count', p.count)::text, p.start::text, p.tool_action_id \
         from ( \
           select date_trunc($4, u.period_start at time zone 'utc') as start, u.tool_action_id, sum(u.count)::bigint as count \
           from nebula.usage_metrics u \
           where u.tenant_id = $1 \
             and u.period_start >= date_trunc($4, coalesce($2::timestamptz, now() - interval '30 days') at time zone 'utc') at time zone 'utc' \
             and u.period_start < coalesce($3::timestamptz, now()) \
             and ($6::text is null or u.period_start >= $6::timestamp at time zone 'utc') \
             and ($5::text is null or u.tool_action_id = (select id from nebula.tool_action where key = $5)) \
           group by 1, 2 \
         ) p \
         join nebula.tool_action a on a.id = p.tool_action_id \
         where $6::text is null or (p.start, p.tool_action_id) > ($6::timestamp, $7) \
         order by p.start, p.tool_action_id limit $8",
        &[
            Arg::Uuid(call.tenant()),
            Arg::OptText(from),
            Arg::OptText(to),
            Arg::Text(input.granularity.as_str()),
            Arg::OptText(action),
            Arg::OptText(position.as_ref().map(|position| position.value.as_str())),
            Arg::OptUuid(position.as_ref().map(|position| position.id)),
            Arg::BigInt(wanted + 1),
        ],
        |row| (row.text(1).unwrap_or_default(), row.text(2).unwrap_or_default(), row.uuid(3)),
    );
    let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
    let has_more = rows.len() > wanted;
    rows.truncate(wanted);
    let next = match rows.last() {
        Some((_, value, Some(id))) if has_more => {
            Some(cursor::seal(secret, &scope, &Position { value: value.clone(), id: *id }).ok_or(Code::InternalError)?)
        }
        _ => None,
    };
    let data = rows.iter().map(|(json, ..)| json.as_str()).collect::<Vec<_>>().join(",");
    Ok(Reply { meta: Some(json!({ "nextCursor": next, "hasMore": has_more }).to_string()), ..Reply::data(format!("[{data}]")) })
}
