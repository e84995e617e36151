//! The app: what of it is the engine's. It knows no Python.

pub mod relay;
