//! Facts about importing and exporting.
