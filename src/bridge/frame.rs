//! The codec of frames.
