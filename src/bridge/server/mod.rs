//! The serving side.
