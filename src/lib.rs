//! klagomal: a RIV TA gateway for complaints on Swedish health care. This page is the map.
//!
//! # One message, one direction
//!
//! ```text
//!            bytes           head                 decision
//! caller ──▶ listen ──▶ gateway ──▶ soap ──▶ tak::decide ─┬─▶ forward ─▶ outbound ─▶ producer ─▶ its answer
//!               │                                         │
//!          tls: who calls                                 └─▶ keep: rivta ─▶ complaint ─▶ cases ─▶ store
//!                                                                                          │
//!                                                              on disk, then the answer ◀──┘
//! later, from what is written:
//!   delivery  takes what is due ──▶ producer ──▶ delivered | again | unknown | unreachable | parked
//! ```
//!
//! Everything that happens to a case is one [`complaint::event::Event`] in one journal record, with
//! everything that follows from it. State, lists and the outbox are functions of the records:
//! [`cases::fold`] makes them, and makes them again.
//!
//! # Parts
//!
//! A part uses only parts declared above it; the order of the `mod` lines below is the dependency
//! order, and `tests/tidy.rs` holds it.
//!
//! # What is deliberately absent
//!
//! * No part but [`clock`] asks what time it is.
//! * Nothing in [`gateway`] knows how a case is stored, sent or shown; nothing in [`producer`] knows
//!   what it sends.
//! * A message that is passed on is read only as far as the name of the first element in its body.
//! * A routing table, the settings and an accepted message never change: a reload makes a new table,
//!   and a call keeps the one it began with.
//! * The command line never opens a store that a gateway holds: it talks to the [`admin`] door.
//! * There is no second road for recovery: the first try, the retry, the restart and what a killed
//!   process left all go through what is due.
//! * No content, name or person number in a log line, a fault or a file name.
//!
//! # Words
//!
//! ärende = case, vägval = route, behörighet = permission, logisk adress = logical address,
//! vårdgivare = care provider, patientnämnd = patient advisory committee, delsvar = partial reply,
//! motfråga = question, svar = reply, ärendebekräftelse = confirmation, huvudproblem = main problem,
//! ärendemottagare = case receiver, ärendehanterare = case handler, granskare = log reviewer,
//! kvalitetsansvarig = quality lead, åtkomstlogg = access log,
//! gallring = removal, delproblem = sub problem, verksamhetsområde = operational area, tjänstekontrakt = contract.

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
pub mod spans;
pub mod oidc;
pub mod mail;
pub mod store;
pub mod routing;

// Work: what we owe, and paying it.
pub mod cases;
pub mod delivery;
pub mod backup;
pub mod export;

// Settings.
pub mod config;

// Doors: how calls come in. They do not know each other.
pub mod admin;
pub mod gateway;
pub mod staff;

// Assembly.
pub mod app;
pub mod simulators;
pub mod demo;
pub mod cli;
