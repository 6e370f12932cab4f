//! The rules of the repository that no compiler checks.
