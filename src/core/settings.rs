//! Bounds by their names: set in code, then in the environment, then by default.

use std::time::Duration;

use super::error::{Code, Error, Result};

/// Sets each bound that the environment names, as `PREFIX` and the bound's name in capitals.
///
/// # Errors
/// `Configuration` when a variable is no number, or `set` refuses it; the message names it.
pub(crate) fn from_environment(
    prefix: &str,
    names: &[&str],
    lookup: impl Fn(&str) -> Option<String>,
    mut set: impl FnMut(&str, f64) -> Result<()>,
) -> Result<()> {
    for name in names {
        let variable = format!("{prefix}{}", name.to_ascii_uppercase());
        let Some(text) = lookup(&variable) else { continue };
        let wrong = |why: &str| Error::new(Code::Configuration, format!("{variable}={text:?}: {why}"));
        let number = text.trim().parse::<f64>().map_err(|_| wrong("this is no number"))?;
        set(name, number).map_err(|error| wrong(&error.message))?;
    }
    Ok(())
}

/// A time in seconds.
///
/// # Errors
/// `Configuration` when it is none, or below the least.
pub(crate) fn time(name: &str, number: f64, least: f64) -> Result<Duration> {
    if (least..1e8).contains(&number) {
        return Ok(Duration::from_secs_f64(number));
    }
    Err(Error::new(Code::Configuration, format!("{name}={number} is no time in seconds from {least} up")))
}

/// A number of bytes or things.
///
/// # Errors
/// `Configuration` when it is none, or below the least.
pub(crate) fn size(name: &str, number: f64, least: u32) -> Result<usize> {
    if (f64::from(least)..1e15).contains(&number) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
        return Ok(number as usize);
    }
    Err(Error::new(Code::Configuration, format!("{name}={number} is no number from {least} up")))
}

/// A name that is none.
pub(crate) fn unknown(whose: &str, name: &str, names: &[&str]) -> Error {
    Error::new(Code::Configuration, format!("{whose} has no option {name:?}; it has {}", names.join(", ")))
}
