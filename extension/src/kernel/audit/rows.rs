//! The audit rows of a statement: one for each row that it changed.

use super::{AUDIT_LOG, Author, Entry};
use crate::kernel::{
    installation,
    spi::{
        Made,
        direct::Writer,
        jsonb::Object,
        transition::{self, JsonColumns, Rows},
    },
};
use pgrx::PgTrigger;
use std::{cell::OnceCell, collections::HashMap};

/// What is told of the rows of a table. Places begin with 0.
pub struct Audited<'a> {
    /// Where a row's tenant stands; a row of nobody's belongs to whoever changed it, or to the platform.
    pub tenant: Option<usize>,
    /// Where its id stands.
    pub id: Option<usize>,
    /// The columns of its key, where that is no id, with whether they are of a type of Postgres' own.
    pub key: Vec<(usize, bool)>,
    /// The columns whose change is told, by name.
    pub news: Vec<(usize, &'a str)>,
    /// Columns that the product sets by itself: a row in which one changed is not told of.
    pub observed: Vec<usize>,
    pub verb: &'static str,
    /// Of who does no operation.
    pub action: &'a str,
    pub entity_type: &'a str,
}

/// Writes an audit row for each row that a trigger fired for.
pub fn write(trigger: &PgTrigger, author: &Author, audited: &Audited) {
    let (mut old, mut new) = (transition::old_rows(trigger), transition::new_rows(trigger));
    let said = author.said(audited.action, audited.entity_type);
    let mut metadata = Metadata::new(author, audited, trigger);
    let platform = OnceCell::new();
    let mut writer = Writer::open(&AUDIT_LOG);
    loop {
        // Both have as many rows, where there are both.
        let has_old = old.as_mut().is_some_and(Rows::advance);
        let has_new = new.as_mut().is_some_and(Rows::advance);
        let Some(row) = new.as_ref().filter(|_| has_new).or(old.as_ref().filter(|_| has_old)) else { break };
        let changed = match (&old, &new) {
            (Some(old), Some(new)) => {
                if audited.observed.iter().any(|at| old.differs(new, *at)) {
                    continue;
                }
                audited.news.iter().enumerate().filter(|(_, (at, _))| old.differs(new, *at)).map(|(place, _)| place).collect()
            }
            _ => Vec::new(),
        };
        let tenant =
            audited.tenant.and_then(|at| row.uuid(at)).or(author.tenant).or_else(|| *platform.get_or_init(installation::platform_tenant));
        let Some(tenant) = tenant else { continue };
        let is_elsewhere = author.tenant.is_some_and(|own| own != tenant);
        let metadata = metadata.of(row, changed, is_elsewhere, &mut writer);
        let entry = Entry { tenant, entity_id: audited.id.and_then(|at| row.uuid(at)), metadata, tells_origin: !is_elsewhere };
        writer.write(tenant, &said.row(&entry));
    }
    writer.finish();
    [old, new].into_iter().flatten().for_each(Rows::close);
}

/// The metadata of a statement's rows.
struct Metadata<'a> {
    author: &'a Author,
    audited: &'a Audited<'a>,
    key: Option<JsonColumns>,
    /// Where no row tells its key: that of rows in which the same columns changed, made once.
    made: HashMap<(Vec<usize>, bool), Made>,
}

impl<'a> Metadata<'a> {
    fn new(author: &'a Author, audited: &'a Audited, trigger: &PgTrigger) -> Self {
        let key = if audited.key.is_empty() { None } else { JsonColumns::new(trigger, &audited.key) };
        Self { author, audited, key, made: HashMap::new() }
    }

    /// That of a row; lasts as long as the writer's batch.
    fn of(&mut self, row: &Rows, changed: Vec<usize>, is_elsewhere: bool, writer: &mut Writer) -> Made {
        let Self { author, audited, key, made } = self;
        let own_tenant = author.tenant.filter(|_| is_elsewhere).map(|own| own.to_string());
        let begun = |changed: &[usize]| {
            let mut object = Object::default();
            author.about.iter().for_each(|(name, text)| object.text(name, text));
            object.text("verb", audited.verb);
            object.texts("changed", changed.iter().filter_map(|place| audited.news.get(*place)).map(|(_, name)| *name));
            if let Some(own) = &own_tenant {
                object.text("actorTenantId", own);
            }
            object
        };
        match key {
            None => *made.entry((changed, is_elsewhere)).or_insert_with_key(|(changed, _)| begun(changed).finish()),
            Some(key) => writer.within_batch(|| {
                let mut object = begun(&changed);
                key.put(&mut object, "key", row);
                object.finish()
            }),
        }
    }
}
