//! What is too old: partitions, archives, tokens.
