//! What the tests stand on, for a measurement of the real program.
#![allow(dead_code, unreachable_pub, clippy::panic, clippy::print_stderr, clippy::string_slice)]
#![allow(clippy::disallowed_methods, reason = "threads of their own, on the wall's clock")]

#[path = "../it/support/flood.rs"]
mod flood;
#[path = "../it/support/http.rs"]
mod http;
#[path = "../it/support/messages.rs"]
mod messages;
#[path = "../it/support/tree.rs"]
mod tree;
#[path = "../it/support/world.rs"]
mod world;

pub use flood::{Flood, Tally};
pub use world::World;
