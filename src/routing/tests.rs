//! Facts about the routing folder and what is kept of it.
