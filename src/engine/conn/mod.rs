//! Connections: their states, their keys, the table that holds them.

pub mod state;
