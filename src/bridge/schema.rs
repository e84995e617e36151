//! What a service offers, as its schema document says: the document is made once, where the class is
//! decorated, and travels as JSON.

use std::collections::HashMap;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::core::error::{Code, Error, Result};

/// The largest schema document, in bytes.
const LARGEST: usize = 4 << 20;

/// A service's endpoints by name, and the document they were read from.
#[derive(Debug)]
pub struct Schema {
    /// The JSON document, as it came.
    pub document: String,
    /// The first half of the document's SHA-256, in hexadecimal.
    pub hash: String,
    /// Endpoints by name; an endpoint can have two.
    pub endpoints: HashMap<String, Endpoint>,
    /// Classes that values of this service may be, as `module:qualname`.
    pub classes: Vec<String>,
}

/// One name an endpoint answers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its number on the wire.
    pub id: u16,
    /// Whether it runs on the service's event loop.
    pub coroutine: bool,
    /// Whether it belongs to an instance built with the caller's arguments.
    pub instance: bool,
}

#[derive(Deserialize)]
struct Document {
    endpoints: Vec<Entry>,
    #[serde(default)]
    classes: Vec<String>,
}

#[derive(Deserialize)]
struct Entry {
    id: u16,
    name: String,
    kind: String,
    #[serde(default)]
    coroutine: bool,
}

impl Schema {
    /// Reads a document.
    ///
    /// # Errors
    /// `Protocol` when it is no schema document.
    pub fn parse(document: &str) -> Result<Self> {
        if document.len() > LARGEST {
            return Err(Error::protocol(format!("a schema document of {} bytes", document.len())));
        }
        let parsed: Document = serde_json::from_str(document)
            .map_err(|error| Error::protocol(format!("a schema document that cannot be read: {error}")))?;
        let endpoints = parsed
            .endpoints
            .into_iter()
            .map(|entry| {
                let instance = entry.kind == "instance";
                (entry.name, Endpoint { id: entry.id, coroutine: entry.coroutine, instance })
            })
            .collect();
        Ok(Self { document: document.to_owned(), hash: hash(document), endpoints, classes: parsed.classes })
    }

    /// The endpoint of this name.
    ///
    /// # Errors
    /// `EndpointNotFound`, with the nearest name there is.
    pub fn endpoint(&self, service: &str, name: &str) -> Result<Endpoint> {
        self.endpoints.get(name).copied().ok_or_else(|| {
            let nearest = self
                .endpoints
                .keys()
                .map(|known| (distance(known, name), known))
                .filter(|(distance, known)| *distance <= known.chars().count().max(3) / 2)
                .min();
            let hint = match nearest {
                Some((_, known)) => format!("did you mean {known:?}?"),
                None => {
                    let mut names: Vec<_> = self.endpoints.keys().map(String::as_str).collect();
                    names.sort_unstable();
                    format!("it has {}", names.join(", "))
                }
            };
            Error::new(
                Code::EndpointNotFound,
                format!("service {service:?} has no endpoint {name:?}; {hint}"),
            )
        })
    }
}

/// The hash of a document, as it stands in leases and handshakes.
#[must_use]
pub fn hash(document: &str) -> String {
    digest(document.as_bytes())
}

/// The first half of the SHA-256, in hexadecimal.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes)[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Levenshtein's distance.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let kept = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = kept.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}
