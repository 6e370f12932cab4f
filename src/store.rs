//! The store: an append-only journal that is the truth, and disposable views of it.

pub mod blobs;
pub mod engine;
pub mod journal;
pub mod keys;
pub mod views;
