//! What every worker asks first: whether this database may send, and whose turn a task is.
