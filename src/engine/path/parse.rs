//! Stub.
/// Stub.
#[derive(Debug)]
pub struct Head;
