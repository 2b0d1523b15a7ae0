//! What is sealed beside the rows. Each has its label, and its parts in the order in which docs/security/audit.md lists them.

use super::key::AuditKey;
use tokio_postgres::Row;
use uuid::Uuid;

/// In the place of the seal before, where there is none.
pub const ZERO: [u8; 32] = [0; 32];

/// A row's part in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub id: Uuid,
    pub created_at: i64,
    pub digest: [u8; 32],
    pub has_origin: bool,
}

/// Rows that were sealed together.
pub struct Block<'a> {
    pub tenant: Uuid,
    /// `YYYY-MM-01`, as everywhere here.
    pub month: &'a str,
    pub number: i32,
    pub first_position: i64,
    pub sealed_at: i64,
    pub previous: &'a [u8],
    pub entries: &'a [Entry],
}

impl Block<'_> {
    #[must_use]
    pub fn mac(&self, key: &AuditKey) -> [u8; 32] {
        let mut sealing = key.begin("nebula.audit_block.1");
        sealing.bytes(self.tenant.as_bytes()).bytes(self.month.as_bytes()).number(self.number.into());
        sealing.number(self.first_position).number(self.sealed_at).bytes(self.previous);
        sealing.number(i64::try_from(self.entries.len()).unwrap_or(i64::MAX));
        for entry in self.entries {
            sealing.bytes(entry.id.as_bytes()).number(entry.created_at).bytes(&entry.digest).number(entry.has_origin.into());
        }
        sealing.finish()
    }
}

/// The segment before, as it was when a segment began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Previous {
    pub month: String,
    pub block_count: i32,
    pub head: Vec<u8>,
}

impl Previous {
    /// Of three columns of a row, from `first` on: month, blocks, head; `None` where there is no month.
    pub fn read(row: &Row, first: usize) -> Result<Option<Self>, tokio_postgres::Error> {
        let Some(month) = row.try_get(first)? else { return Ok(None) };
        Ok(Some(Self { month, block_count: row.try_get(first + 1)?, head: row.try_get(first + 2)? }))
    }
}

/// A tenant's month.
pub struct Segment<'a> {
    pub tenant: Uuid,
    pub number: i32,
    pub month: &'a str,
    pub previous: Option<&'a Previous>,
    pub block_count: i32,
    pub row_count: i64,
    pub head: &'a [u8],
    pub sealed_at: i64,
}

impl Segment<'_> {
    #[must_use]
    pub fn mac(&self, key: &AuditKey) -> [u8; 32] {
        let mut sealing = key.begin("nebula.audit_segment.1");
        sealing.bytes(self.tenant.as_bytes()).number(self.number.into()).bytes(self.month.as_bytes());
        match self.previous {
            None => sealing.optional(None),
            Some(previous) => sealing.optional(Some(previous.month.as_bytes())).number(previous.block_count.into()).bytes(&previous.head),
        };
        sealing.number(self.block_count.into()).number(self.row_count).bytes(self.head).number(self.sealed_at);
        sealing.finish()
    }
}

/// That retention dropped a segment's rows when the tenant's profile kept them no longer.
pub struct Drop<'a> {
    pub tenant: Uuid,
    pub number: i32,
    pub month: &'a str,
    pub head: &'a [u8],
    pub dropped_at: i64,
}

impl Drop<'_> {
    #[must_use]
    pub fn mac(&self, key: &AuditKey) -> [u8; 32] {
        let mut sealing = key.begin("nebula.audit_drop.1");
        sealing.bytes(self.tenant.as_bytes()).number(self.number.into()).bytes(self.month.as_bytes());
        sealing.bytes(self.head).number(self.dropped_at);
        sealing.finish()
    }
}

/// That anonymising a person took address and user agent out of a row.
pub struct Erasure {
    pub tenant: Uuid,
    pub row: Uuid,
    pub user: Uuid,
    pub erased_at: i64,
}

impl Erasure {
    #[must_use]
    pub fn mac(&self, key: &AuditKey) -> [u8; 32] {
        let mut sealing = key.begin("nebula.audit_erasure.1");
        sealing.bytes(self.tenant.as_bytes()).bytes(self.row.as_bytes()).bytes(self.user.as_bytes()).number(self.erased_at);
        sealing.finish()
    }
}

/// How far the log is sealed.
pub struct Watermark {
    pub complete_before: i64,
    pub sealed_at: i64,
}

impl Watermark {
    #[must_use]
    pub fn mac(&self, key: &AuditKey) -> [u8; 32] {
        let mut sealing = key.begin("nebula.audit_watermark.1");
        sealing.number(self.complete_before).number(self.sealed_at);
        sealing.finish()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::audit_chain::Row;

    fn row() -> Row {
        Row {
            tenant: Uuid::from_u128(1),
            id: Uuid::from_u128(2),
            created_at: 3,
            actor_user_id: None,
            actor_api_key_id: None,
            actor_type: "system".to_owned(),
            action: "a.b".to_owned(),
            entity_type: "x".to_owned(),
            entity_id: None,
            metadata: "{}".to_owned(),
            ip: Some("203.0.113.7/32".to_owned()),
            user_agent: None,
        }
    }

    #[test]
    fn every_column_of_a_row_changes_its_digest_but_the_two_that_may_be_taken_away() {
        let key = AuditKey::new(1, &[7; 32]).unwrap();
        let right = row().digest(&key);
        let id = Some(Uuid::from_u128(9));
        let changes: [fn(&mut Row); 6] = [
            |row| row.created_at += 1,
            |row| row.actor_type.push('x'),
            |row| row.metadata.push(' '),
            |row| row.tenant = Uuid::from_u128(9),
            |row| row.id = Uuid::from_u128(9),
            // Moved over the border of two parts.
            |row| (row.action, row.entity_type) = ("a.".to_owned(), "bx".to_owned()),
        ];
        for change in changes {
            let mut changed = row();
            change(&mut changed);
            assert_ne!(changed.digest(&key), right);
        }
        let ids = [Row { actor_user_id: id, ..row() }, Row { actor_api_key_id: id, ..row() }, Row { entity_id: id, ..row() }];
        let mut digests = ids.iter().map(|row| row.digest(&key)).chain([right]).collect::<Vec<_>>();
        digests.sort_unstable();
        digests.dedup();
        assert_eq!(digests.len(), 4, "an id in one column is taken for the same in another");
        let elsewhere = Row { ip: Some("203.0.113.8/32".to_owned()), ..row() };
        assert_eq!(elsewhere.digest(&key), right);
        assert_ne!(elsewhere.origin(&key), row().origin(&key));
        assert_eq!(Row { ip: None, ..row() }.origin(&key), [0; 16]);
        assert_ne!(row().digest(&AuditKey::new(1, &[8; 32]).unwrap()), right);
    }
}
