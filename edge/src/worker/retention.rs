//! What is too old goes: partitions whole, the rest in batches.
