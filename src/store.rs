//! The store: an append-only journal that is the truth, and disposable views of it.

pub mod blobs;
pub mod engine;
pub mod journal;
pub mod keys;
pub mod views;

/// Lower-case hexadecimal.
fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a String cannot fail.
        write!(text, "{byte:02x}").unwrap_or_default();
    }
    text
}
