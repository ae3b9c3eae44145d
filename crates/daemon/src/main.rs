//! The operators' command: runs any service, or a whole local network

fn main() {}
