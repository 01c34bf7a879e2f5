//! The engine as a whole, in the laboratory: what is too large or too random for a golden case.

#[path = "engine/bench.rs"]
mod bench;
#[path = "engine/capture.rs"]
mod capture;
#[path = "engine/expiry.rs"]
mod expiry;
#[path = "engine/handover.rs"]
mod handover;
#[path = "engine/memory.rs"]
mod memory;
#[path = "engine/pressure.rs"]
mod pressure;
#[path = "engine/properties.rs"]
mod properties;
#[path = "engine/steering.rs"]
mod steering;
#[path = "engine/table.rs"]
mod table;
#[path = "engine/ways.rs"]
mod ways;
#[path = "engine/wide.rs"]
mod wide;
