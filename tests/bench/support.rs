//! What the tests stand on, for a measurement of the real program.
#![allow(dead_code, unreachable_pub, clippy::panic, clippy::print_stderr, clippy::string_slice)]
#[path = "../it/support/flood.rs"]
mod flood;
#[path = "../it/support/http.rs"]
mod http;
#[path = "../it/support/messages.rs"]
mod messages;
#[path = "../it/support/peer.rs"]
mod peer;
#[path = "forward/process.rs"]
mod process;
#[path = "../it/support/tree.rs"]
mod tree;
#[path = "../it/support/world.rs"]
mod world;

pub use flood::{Flood, Tally};
pub use http::{Connection, find};
pub use messages::{Unit, VC1, VC2, case_id, complaint};
pub use peer::{Peer, inbox_answer, region_answer};
pub(crate) use process::Process;
pub use world::{World, certs};
