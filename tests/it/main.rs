//! Everything that goes through a boundary: real TLS, real SOAP, the real program.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::allow_attributes,
    reason = "a test that panics has failed, which is its job"
)]
