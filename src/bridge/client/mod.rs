//! The calling side.
