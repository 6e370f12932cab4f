//! What the tests stand on: the program in a world of its own, a client, stand-ins, and XML as a tree.

mod flood;
mod http;
mod messages;
mod peer;
mod power;
mod simulator;
mod tools;
mod tree;
mod world;

pub use flood::{Flood, Tally};
pub use http::{Answer, Caller, Connection, TLS12, TLS13, find};
pub use messages::*;
pub use peer::{Act, Call, Peer, inbox_answer, region_answer};
pub use power::{Keeps, Power};
pub use simulator::Simulator;
pub use tools::not_run;
pub use tree::Node;
pub use world::{Plan, World, certificate, certs, copy_folder, program, temp, write_master_key};
