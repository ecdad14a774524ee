//! From an HR system to Offboardings: the real operator reads a simulated HR system over HTTP, with the chart's rights on a real
//! API server.

mod cases;
mod follows;
mod guarded;
mod large;
mod listed;
mod lives;
pub mod office;
mod told;
mod woken;
