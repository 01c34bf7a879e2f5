//! Stub.
pub mod parse;
