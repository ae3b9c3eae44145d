//! The measured program: opens its session, runs the app, digests, signs and encrypts

fn main() {}
