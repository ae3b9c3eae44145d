//! The order book, between those who sell and those who ask
