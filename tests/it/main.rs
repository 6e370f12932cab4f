//! Everything that goes through a boundary: real TLS, real SOAP, the real program.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods, // threads of their own, on the wall's clock
    clippy::allow_attributes,
    reason = "a test that panics has failed, which is its job"
)]

mod support;

mod at_rest;
mod backup;
mod browser;
mod campaign;
mod certificates;
mod clients;
mod delivery;
mod disk;
mod evidence;
mod export;
mod fixtures;
mod hostile;
mod life;
mod mail;
mod login;
mod memory;
mod operator;
mod outbox;
mod overload;
mod platform;
mod promises;
mod proxied;
mod receivers;
mod restart;
mod routing_live;
mod routing_walk;
mod upgrade;
mod schemas;
mod staff;
mod staff_files;
mod wsdl;
