//! One step of a plan.

/// What is to be done, and whether it is.
pub struct Step {
    pub name: &'static str,
    /// In a transaction of its own, while others write; `None` for a note.
    pub alone: Option<String>,
    /// Where everything is one transaction, which holds the table's lock.
    pub together: Option<String>,
    pub is_done: bool,
    pub note: Option<String>,
}

impl Step {
    pub fn new(name: &'static str, is_done: bool, sql: impl Into<String>) -> Self {
        let sql = sql.into();
        Self { name, together: Some(sql.clone()), alone: Some(sql), is_done, note: None }
    }

    /// One that takes a lock which writers wait for: it gives up soon, to be tried again, since who waits for such a lock holds up everybody behind.
    pub fn locking(name: &'static str, is_done: bool, sql: impl Into<String>) -> Self {
        let sql = sql.into();
        Self { name, alone: Some(format!("set local lock_timeout = '{LOCK_TIMEOUT}';\n{sql}")), together: Some(sql), is_done, note: None }
    }

    /// The form for a transaction that holds the table's lock.
    #[must_use]
    pub fn together(mut self, sql: impl Into<String>) -> Self {
        self.together = Some(sql.into());
        self
    }

    #[must_use]
    pub fn noting(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// Something that a reader of the plan should know.
    pub fn note(note: impl Into<String>) -> Self {
        Self { name: "note", alone: None, together: None, is_done: true, note: Some(note.into()) }
    }
}

/// How long a step waits for a lock that writers wait for.
const LOCK_TIMEOUT: &str = "250ms";
