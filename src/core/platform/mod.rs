//! What is an operating system's: locks on files, processes, directories, sockets, readiness.
//! `unsafe` lives here and nowhere else in the engine.

pub mod directory;
#[allow(unsafe_code, reason = "a pointer that a forked child replaces")]
pub mod fork;
#[allow(unsafe_code, reason = "no safe wrapper of the locks that follow an open file description")]
pub mod lock;
#[allow(unsafe_code, reason = "no safe wrapper knows that a peer may be outside the container")]
pub mod process;
pub mod readiness;
#[allow(unsafe_code, reason = "no safe wrapper of a thread's signal mask")]
pub mod signals;
pub mod socket;
#[cfg(feature = "zmq")]
#[allow(unsafe_code, reason = "the runtime trusts that a descriptor stays open")]
pub mod watched;
