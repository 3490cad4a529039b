//! The three small languages that roles hold: templates, label selectors, predicates.
//!
//! What they share: one lexer, bounded regular expressions, globs. Each bounds its input, its
//! depth and its output, because role authors are not trusted with the cluster's memory.

pub(crate) mod lexer;
pub mod matcher;
pub mod predicate;
mod predicate_parser;
pub mod template;
