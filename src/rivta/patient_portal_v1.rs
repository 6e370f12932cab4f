//! 1177 Inkorg.
