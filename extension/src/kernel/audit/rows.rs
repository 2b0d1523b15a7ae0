//! The audit rows of a statement: one for each row that it changed.

use super::{AUDIT_LOG, Author, Entry};
use crate::kernel::{
    installation,
    spi::{
        Arg, Made,
        direct::Writer,
        transition::{self, JsonColumns, Rows},
    },
};
use pgrx::PgTrigger;
use serde_json::{Value, json};
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
    let mut metadata = Metadata { author, audited, made: HashMap::new() };
    let mut key = if audited.key.is_empty() { None } else { JsonColumns::new(trigger, &audited.key) };
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
        let base = metadata.of(changed, is_elsewhere);
        let metadata = match &mut key {
            Some(key) => writer.within_batch(|| key.append_to(base, row)).unwrap_or(base),
            None => base,
        };
        let entry = Entry { tenant, entity_id: audited.id.and_then(|at| row.uuid(at)), metadata, tells_origin: !is_elsewhere };
        writer.write(tenant, &said.row(&entry));
    }
    writer.finish();
    [old, new].into_iter().flatten().for_each(Rows::close);
}

/// The metadata of rows in which the same columns changed, made once.
struct Metadata<'a> {
    author: &'a Author,
    audited: &'a Audited<'a>,
    made: HashMap<(Vec<usize>, bool), Made>,
}

impl Metadata<'_> {
    fn of(&mut self, changed: Vec<usize>, is_elsewhere: bool) -> Made {
        let (author, audited) = (self.author, self.audited);
        *self.made.entry((changed, is_elsewhere)).or_insert_with_key(|(changed, _)| {
            let names = changed.iter().filter_map(|place| audited.news.get(*place)).map(|(_, name)| *name).collect::<Vec<_>>();
            let mut metadata = author.metadata.clone();
            if let Value::Object(members) = &mut metadata {
                members.insert("verb".to_owned(), json!(audited.verb));
                members.insert("changed".to_owned(), json!(names));
                if is_elsewhere {
                    members.insert("actorTenantId".to_owned(), json!(author.tenant));
                }
            }
            Arg::Json(&metadata.to_string()).make()
        })
    }
}
