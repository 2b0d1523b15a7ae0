//! Monthly partitions: which there are, and how rows get out of one that they can't be deleted from. DDL is in `sql/functions/retention.sql`.

use super::spi::{self, Arg};

/// Changes of partitions come one after the other.
pub const LOCK: &str = "nebula/retention";

/// A table whose partitions are months.
#[derive(Debug)]
pub struct Source {
    /// Its partitions are called after it.
    pub name: &'static str,
    /// The column of the partitions' bounds.
    pub time: &'static str,
    /// How long the operational profile `p` keeps its rows after the end of their month.
    pub kept: &'static str,
    /// Whether profiles may have its rows archived first.
    pub is_archived: bool,
}

pub const SOURCES: [Source; 4] = [
    Source { name: "audit_log", time: "created_at", kept: "make_interval(days => p.audit_days)", is_archived: true },
    Source { name: "usage_metrics", time: "period_start", kept: "make_interval(months => p.usage_months)", is_archived: false },
    Source { name: "webhook_delivery", time: "created_at", kept: "make_interval(days => p.delivery_days)", is_archived: false },
    Source { name: "outbox_finished", time: "created_at", kept: "make_interval(days => p.delivery_days)", is_archived: false },
];

/// A month, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Month {
    year: u16,
    number: u8,
}

impl Month {
    /// Reads `YYYY-MM`, or `YYYY_MM` as in partitions' names.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (year, number) = text.split_once(['-', '_'])?;
        let is_digits = |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_digits(year, 4) || !is_digits(number, 2) {
            return None;
        }
        let month = Self { year: year.parse().ok()?, number: number.parse().ok()? };
        (month.year > 0 && (1..=12).contains(&month.number)).then_some(month)
    }

    /// `YYYY-MM`.
    #[must_use]
    pub fn name(self) -> String {
        format!("{:04}-{:02}", self.year, self.number)
    }

    /// `YYYY-MM-01`.
    #[must_use]
    pub fn first_day(self) -> String {
        format!("{}-01", self.name())
    }

    fn part(self) -> String {
        format!("{:04}_{:02}", self.year, self.number)
    }
}

impl Source {
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        SOURCES.iter().find(|source| source.name == name)
    }

    /// The partition of a month.
    #[must_use]
    pub fn partition(&self, month: Month) -> String {
        format!("{}_{}", self.name, month.part())
    }

    /// Months that have a partition and ended so long ago that some profile keeps nothing of them, oldest first. A table of that name with other bounds is not
    /// ours to drop.
    #[must_use]
    pub fn old_months(&self) -> Vec<Month> {
        let sql = format!(
            "select to_char(m.first, 'YYYY-MM') \
             from pg_inherits i join pg_class c on c.oid = i.inhrelid \
             cross join lateral (select to_date(right(c.relname, 7), 'YYYY_MM') as first where c.relname ~ ('^' || $1 || '_[0-9]{{4}}_(0[1-9]|1[0-2])$')) m \
             where i.inhparent = ('nebula.' || $1)::regclass and not i.inhdetachpending \
               and pg_get_expr(c.relpartbound, c.oid) = format('FOR VALUES FROM (%L) TO (%L)', m.first::timestamptz, (m.first + interval '1 month')::timestamptz) \
               and (m.first + interval '1 month')::timestamptz + (select min({}) from nebula.operational_profile p) <= now() \
             order by m.first",
            self.kept
        );
        spi::rows(&sql, &[Arg::Text(self.name)], |row| row.text(1)).into_iter().flatten().filter_map(|name| Month::parse(&name)).collect()
    }

    /// Fills a copy of a month's partition with the rows that fulfil a condition on `r`.
    pub fn copy(&self, month: Month, condition: &str, args: &[Arg]) {
        self.copy_part(&self.partition(month), &month.part(), condition, args);
    }

    /// Drops a month's partition whole. The copy that was made of it takes its place.
    pub fn replace(&self, month: Month, has_copy: bool) {
        let parts = if has_copy { vec![month.part()] } else { Vec::new() };
        self.exchange(&self.partition(month), &parts);
    }

    /// Brings rows out of the default partition into months' partitions, which are made; how many rows.
    #[must_use]
    pub fn settle_default(&self) -> u64 {
        spi::advisory_lock(LOCK);
        let default = format!("{}_default", self.name);
        let is_empty = || spi::first(&format!("select from nebula.{default} limit 1"), &[], |_| ()).is_none();
        if is_empty() {
            return 0;
        }
        spi::lock_against_writes(&format!("nebula.{default}"));
        // A month whose partition somebody has detached keeps its name.
        let sql = format!(
            "select part from (select distinct to_char(r.{} at time zone 'utc', 'YYYY_MM') as part from nebula.{default} r) parts \
             where to_regclass('nebula.{}_' || part) is null order by part",
            self.time, self.name
        );
        let parts = spi::rows(&sql, &[], |row| row.text(1)).into_iter().flatten().filter(|part| Month::parse(part).is_some());
        let mut parts = parts.collect::<Vec<_>>();
        if parts.is_empty() {
            return 0;
        }
        let part_of_row = format!("to_char(r.{} at time zone 'utc', 'YYYY_MM')", self.time);
        let mut moved = 0;
        for part in &parts {
            moved += self.copy_part(&default, part, &format!("{part_of_row} = $1"), &[Arg::Text(part)]);
        }
        self.copy_part(&default, "default", &format!("({part_of_row} = any ($1)) is not true"), &[Arg::Texts(&parts)]);
        parts.push("default".to_owned());
        self.exchange(&default, &parts);
        moved
    }

    fn copy_part(&self, origin: &str, part: &str, condition: &str, args: &[Arg]) -> u64 {
        let make = "select nebula.copy_partition($1, $2, $3)";
        spi::run(make, &[Arg::Text(self.name), Arg::Text(origin), Arg::Text(part)]);
        let columns = spi::text(
            "select string_agg(quote_ident(attname), ', ' order by attnum) from pg_attribute \
             where attrelid = $1::regclass and attnum > 0 and not attisdropped and attgenerated = ''",
            &[Arg::Text(&format!("nebula.{origin}"))],
        )
        .unwrap_or_default();
        let sql =
            format!("insert into nebula.{}_{part}_copy ({columns}) select {columns} from nebula.{origin} r where {condition}", self.name);
        spi::run(&sql, args)
    }

    fn exchange(&self, origin: &str, parts: &[String]) {
        let sql = "select nebula.exchange_partition($1, $2, $3)";
        spi::run(sql, &[Arg::Text(self.name), Arg::Text(origin), Arg::Texts(parts)]);
    }
}
