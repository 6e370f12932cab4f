//! Facts about routing, one file for each kind.
