//! Keeps archives, content-addressed and write-once
