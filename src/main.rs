//! offboard
fn main() {}
