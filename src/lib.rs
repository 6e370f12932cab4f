//! klagomal: a RIV TA gateway for complaints on Swedish health care. This page is the map.
//!
//! A part uses only parts declared above it; the order of the `mod` lines below is the dependency
//! order, and `tests/tidy.rs` holds it.

// Ground: values that every part may use. No I/O.
pub mod limits;
pub mod clock;
pub mod id;
pub mod telemetry;

// Messages: bytes to values and back. They decide and never act; time is handed in.
pub mod complaint;
pub mod xml;
pub mod soap;
pub mod rivta;
pub mod tak;

// Edges: one outside thing each.
pub mod pki;
pub mod tls;
pub mod listen;
pub mod producer;
pub mod outbound;
pub mod store;
pub mod routing;

// Work: what we owe, and paying it.
pub mod cases;
pub mod delivery;
pub mod backup;

// Settings.
pub mod config;

// Doors: how calls come in. They do not know each other.
pub mod admin;
pub mod gateway;

// Assembly.
pub mod app;
pub mod simulators;
pub mod demo;
pub mod cli;
