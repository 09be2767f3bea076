//! For tests: an in-memory provider with a call log, a fixed clock, failpoints.
