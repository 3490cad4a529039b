//! Tests of what the crate promises.
