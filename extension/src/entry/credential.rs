//! Sealed secrets: which key is which version, sealing anew, and what is revealed to whom.
