//! The command line: one file per command. Each takes parsed arguments and does one thing; no rule is kept here.

pub mod crds;
