//! The case (ärende): what a message says, what happened, and what may happen next.
//!
//! Everything that happens to a case is one [`Event`](event::Event); state is a function of the events.

pub mod case;
pub mod codes;
pub mod command;
pub mod deadline;
pub mod desk;
pub mod event;
mod holidays;
pub mod letter;
pub mod message;
pub mod notice;
pub mod registration;
pub mod words;
