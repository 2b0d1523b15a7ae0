//! A row of the audit log as it is sealed.

use super::key::AuditKey;
use uuid::Uuid;

/// Of what is kept of an address and a user agent. Half of a digest is plenty for what nobody can compute without the key.
pub const ORIGIN_BYTES: usize = 16;

/// A row with every column, times in microseconds since 1970.
pub struct Row {
    pub tenant: Uuid,
    pub id: Uuid,
    pub created_at: i64,
    pub actor_user_id: Option<Uuid>,
    pub actor_api_key_id: Option<Uuid>,
    pub actor_type: String,
    pub action: String,
    pub entity_type: String,
    pub entity_id: Option<Uuid>,
    /// As Postgres writes `jsonb`.
    pub metadata: String,
    pub ip: Option<String>,
    pub user_agent: Option<String>,
}

impl Row {
    /// Of everything that never changes.
    #[must_use]
    pub fn digest(&self, key: &AuditKey) -> [u8; 32] {
        let id = |id: &Option<Uuid>| id.map(|id| *id.as_bytes());
        let mut sealing = key.begin("nebula.audit_row.1");
        sealing.bytes(self.tenant.as_bytes()).bytes(self.id.as_bytes()).number(self.created_at);
        sealing.optional(id(&self.actor_user_id).as_ref().map(<[u8; 16]>::as_slice));
        sealing.optional(id(&self.actor_api_key_id).as_ref().map(<[u8; 16]>::as_slice));
        sealing.bytes(self.actor_type.as_bytes()).bytes(self.action.as_bytes()).bytes(self.entity_type.as_bytes());
        sealing.optional(id(&self.entity_id).as_ref().map(<[u8; 16]>::as_slice));
        sealing.bytes(self.metadata.as_bytes());
        sealing.finish()
    }

    /// Whether it tells where somebody came from.
    #[must_use]
    pub fn has_origin(&self) -> bool {
        self.ip.is_some() || self.user_agent.is_some()
    }

    /// Of address and user agent, apart from the rest since anonymising takes them away (docs/decisions/0036): zeros where there are none.
    #[must_use]
    pub fn origin(&self, key: &AuditKey) -> [u8; ORIGIN_BYTES] {
        let mut cut = [0; ORIGIN_BYTES];
        if self.has_origin() {
            let mut sealing = key.begin("nebula.audit_origin.1");
            sealing.bytes(self.tenant.as_bytes()).bytes(self.id.as_bytes()).number(self.created_at);
            sealing.optional(self.ip.as_deref().map(str::as_bytes)).optional(self.user_agent.as_deref().map(str::as_bytes));
            cut.iter_mut().zip(sealing.finish()).for_each(|(to, from)| *to = from);
        }
        cut
    }
}
