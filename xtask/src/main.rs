//! Set-up, demo, tests, tidy and benchmarks of the workspace.

fn main() {}
