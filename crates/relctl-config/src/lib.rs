//! Reads release files into typed releases, with a place for every mistake.
