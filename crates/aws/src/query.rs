//! Queries and forms: `name=value` pairs, percent-decoded once.
