//! The command of requesters, beneficiaries and developers

fn main() {}
