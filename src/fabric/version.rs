//! Versions of services, which are free text, and the ranges of them that a caller asks for.

use std::cmp::Ordering;
use std::fmt;

use crate::core::error::{Code, Error, Result};

const LONGEST: usize = 63;

/// A version as it compares: numbers as numbers, so that 2.10 comes after 2.9; 2.1 and 2.1.0 are the same; what a
/// word marks (`2.1rc1`, `2.1-beta`) comes before what has none, `post` alone after it. What follows a `+` does not
/// count.
#[derive(Clone, Debug)]
pub struct Version {
    release: Vec<Number>,
    rest: Vec<Piece>,
}

impl Version {
    /// Reads one.
    ///
    /// # Errors
    /// `Configuration` when it is empty, too long, or holds a sign that a version has not.
    pub fn parse(text: &str) -> Result<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'+');
        if !(1..=LONGEST).contains(&text.len()) || !text.bytes().all(allowed) {
            return Err(Error::new(
                Code::Configuration,
                format!(
                    "{text:?} is no version: use 1 to {LONGEST} of A-Z, a-z, 0-9, . - _ and +, such as 2.1.0"
                ),
            ));
        }
        let text = text.split('+').next().unwrap_or_default().to_ascii_lowercase();
        let text = text.strip_prefix('v').filter(|rest| rest.starts_with(digit)).unwrap_or(&text);
        let mut pieces = pieces(text).into_iter().peekable();
        let mut release = Vec::new();
        while let Some(Piece::Number(number)) = pieces.next_if(|piece| matches!(piece, Piece::Number(_))) {
            release.push(number);
        }
        Ok(Self { release, rest: pieces.collect() })
    }

    fn cmp_release(&self, other: &Self) -> Ordering {
        padded(&self.release, &other.release, &Number::ZERO)
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.cmp_release(other).then_with(|| padded(&self.rest, &other.rest, &Piece::Number(Number::ZERO)))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Version {}

/// A number of any length: its digits without zeros before them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Number(String);

impl Number {
    const ZERO: Self = Self(String::new());
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.len().cmp(&other.0.len()).then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// What a version is made of. Where one has ended it goes on with zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Word(String),
    Number(Number),
}

impl Piece {
    /// First by what it means.
    fn rank(&self) -> u8 {
        match self {
            Self::Word(word) => match word.as_str() {
                "dev" => 0,
                "a" | "alpha" => 1,
                "b" | "beta" => 2,
                "c" | "rc" | "pre" | "preview" => 3,
                "post" | "rev" | "r" => 6,
                _ => 4,
            },
            Self::Number(number) if *number == Number::ZERO => 5,
            Self::Number(_) => 7,
        }
    }
}

impl Ord for Piece {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank()).then_with(|| match (self, other) {
            (Self::Number(one), Self::Number(two)) => one.cmp(two),
            (Self::Word(one), Self::Word(two)) if self.rank() == 4 => one.cmp(two),
            _ => Ordering::Equal,
        })
    }
}

impl PartialOrd for Piece {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn digit(sign: char) -> bool {
    sign.is_ascii_digit()
}

/// Runs of digits and of letters; other signs only part them.
fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for part in text.split(['.', '-', '_']) {
        let mut part = part;
        while let Some(first) = part.chars().next() {
            let end = part.find(|sign| digit(sign) != digit(first)).unwrap_or(part.len());
            let (run, rest) = part.split_at(end);
            pieces.push(if digit(first) {
                Piece::Number(Number(run.trim_start_matches('0').to_owned()))
            } else {
                Piece::Word(run.to_owned())
            });
            part = rest;
        }
    }
    pieces
}

/// The order of two versions; what cannot be read comes before what can.
#[must_use]
pub fn compare_versions(one: &str, two: &str) -> Ordering {
    Version::parse(one).ok().cmp(&Version::parse(two).ok()).then_with(|| one.cmp(two))
}

/// Compares piece by piece; the shorter goes on with `end`.
fn padded<T: Ord>(one: &[T], two: &[T], end: &T) -> Ordering {
    (0..one.len().max(two.len()))
        .map(|at| one.get(at).unwrap_or(end).cmp(two.get(at).unwrap_or(end)))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// What a caller asks for: `>=2,<3`, `~=2.1`, `2.1.0`. All of its clauses must hold.
/// `Display` shows it as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionRange {
    text: String,
    clauses: Vec<(Operator, Version)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    AtLeast,
    AtMost,
    Above,
    Below,
    Equal,
    Unequal,
    Compatible,
}

const OPERATORS: [(&str, Operator); 7] = [
    (">=", Operator::AtLeast),
    ("<=", Operator::AtMost),
    ("==", Operator::Equal),
    ("!=", Operator::Unequal),
    ("~=", Operator::Compatible),
    (">", Operator::Above),
    ("<", Operator::Below),
];

impl VersionRange {
    /// Reads clauses with commas between them, each one of `>=`, `<=`, `>`, `<`, `==`, `!=`, `~=` and a version; a
    /// version alone means `==`.
    ///
    /// # Errors
    /// `Configuration`, saying what is wrong.
    pub fn parse(text: &str) -> Result<Self> {
        let clauses =
            text.split(',').map(|part| clause(part.trim())).collect::<Result<_>>().map_err(|error| {
                let why = error.message;
                let text = format!(
                    "{text:?} is no range of versions: {why}; write one such as \">=2,<3\" or \"~=2.1\""
                );
                Error::new(Code::Configuration, text)
            })?;
        Ok(Self { text: text.trim().to_owned(), clauses })
    }

    /// Whether a service of this version will do; one whose version cannot be read will not.
    #[must_use]
    pub fn satisfied_by(&self, version: &str) -> bool {
        Version::parse(version).is_ok_and(|version| self.holds(&version))
    }

    /// The highest of these that will do.
    #[must_use]
    pub fn highest<'a>(&self, versions: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
        let read = versions.into_iter().filter_map(|text| Some((Version::parse(text).ok()?, text)));
        read.filter(|(version, _)| self.holds(version))
            .max_by(|one, two| one.0.cmp(&two.0))
            .map(|(_, text)| text)
    }

    fn holds(&self, version: &Version) -> bool {
        self.clauses.iter().all(|(operator, bound)| operator.holds(version, bound))
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Operator {
    fn holds(self, version: &Version, bound: &Version) -> bool {
        // Neither is 3.0rc1 what is meant by <3, nor 2.post1 by >2.
        let marked = bound.rest.is_empty() && version.cmp_release(bound).is_eq();
        match self {
            Self::AtLeast => version >= bound,
            Self::AtMost => version <= bound,
            Self::Above => version > bound && !marked,
            Self::Below => version < bound && !marked,
            Self::Equal => version == bound,
            Self::Unequal => version != bound,
            Self::Compatible => {
                let fixed = bound.release.len().saturating_sub(1);
                let same = |at| version.release.get(at).unwrap_or(&Number::ZERO) == &bound.release[at];
                version >= bound && (0..fixed).all(same)
            }
        }
    }
}

fn clause(text: &str) -> Result<(Operator, Version)> {
    let named = OPERATORS.iter().find_map(|(sign, operator)| Some((*operator, text.strip_prefix(sign)?)));
    let (operator, version) = named.unwrap_or((Operator::Equal, text));
    let version = Version::parse(version.trim())?;
    if operator == Operator::Compatible && version.release.len() < 2 {
        return Err(Error::new(Code::Configuration, "~= needs two numbers at least, such as ~=2.1"));
    }
    Ok((operator, version))
}
