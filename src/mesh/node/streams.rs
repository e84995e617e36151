//! Streams: parts of calls and answers that come one by one, and not always in order.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::calls::{answer, full};
use super::delivery::{Chunk, Delivery, Failure, FailureKind, Outcome};
use super::kept::Kept;
use super::{Core, Node};
use crate::mesh::packet::{Request, Response, Version};

/// All that are open.
#[derive(Debug)]
pub(super) struct Streams {
    open: HashMap<Key, Stream>,
    next: u64,
    /// Parts that may wait for those before them, per stream: so many, and so many bytes.
    max_early: usize,
    max_bytes: usize,
}

/// Who sends it, and whether it is of an answer, and of which call.
type Key = (Box<str>, bool, Box<str>);

#[derive(Debug)]
struct Stream {
    number: u64,
    /// Which part is next.
    next: u64,
    early: BTreeMap<u64, Part>,
    bytes: usize,
    /// Parts are handed out: whoever takes them is there.
    begun: bool,
}

#[derive(Debug)]
struct Part {
    kept: Kept<3>,
    end: bool,
}

/// Streams that are open at once.
const MOST: usize = 10_000;

impl Streams {
    pub(super) fn new(max_early: usize, max_bytes: usize) -> Self {
        Self { open: HashMap::new(), next: 1, max_early, max_bytes }
    }

    fn key(sender: &str, answer: bool, id: &str) -> Key {
        (sender.into(), answer, id.into())
    }

    /// The stream of a call's parameters, whose parts may be here already.
    pub(super) fn open_request(&mut self, sender: &str, id: &str) -> u64 {
        self.open_stream(Self::key(sender, false, id))
    }

    fn open_stream(&mut self, key: Key) -> u64 {
        let next = &mut self.next;
        let stream = self.open.entry(key).or_insert_with(|| {
            *next += 1;
            Stream { number: *next, next: 1, early: BTreeMap::new(), bytes: 0, begun: false }
        });
        stream.number
    }

    /// Its call has been handed out: now its parts may be.
    pub(super) fn begin<W>(&mut self, sender: &str, id: &str, out: &mut Vec<Delivery<W>>) {
        self.begin_key(&Self::key(sender, false, id), out);
    }

    fn begin_key<W>(&mut self, key: &Key, out: &mut Vec<Delivery<W>>) {
        if let Some(stream) = self.open.get_mut(key) {
            stream.begun = true;
            if stream.hand_out(out) {
                self.open.remove(key);
            }
        }
    }

    /// A part of a call's parameters.
    pub(super) fn request_part<W>(
        &mut self,
        sender: &str,
        request: &Request<'_>,
        version: Version,
        out: &mut Vec<Delivery<W>>,
    ) {
        let flags = match version {
            Version::V4 => request.meta,
            Version::V5 => request.headers,
        };
        let part = Part { kept: Kept::of([request.params, None, full(flags)]), end: !request.stream };
        let key = Self::key(sender, false, &request.id);
        self.put(key, request.seq.unwrap_or_default(), part, out);
    }

    fn put<W>(&mut self, key: Key, seq: u64, part: Part, out: &mut Vec<Delivery<W>>) {
        if !self.open.contains_key(&key) {
            if self.open.len() >= MOST {
                return;
            }
            self.open_stream(key.clone());
        }
        let Some(stream) = self.open.get_mut(&key) else { return };
        if seq < stream.next {
            return;
        }
        stream.bytes += part.kept.len();
        stream.early.insert(seq, part);
        let ended = stream.begun && stream.hand_out(out);
        let broken = stream.early.len() > self.max_early || stream.bytes > self.max_bytes;
        if broken && stream.begun {
            out.push(stream.failed(FailureKind::Broken, None));
        }
        if ended || broken {
            self.open.remove(&key);
        }
    }

    /// A node has gone: its streams end.
    pub(super) fn lose<W>(&mut self, node: &Arc<str>, out: &mut Vec<Delivery<W>>) {
        self.open.retain(|(sender, ..), stream| {
            let lost = **sender == **node;
            if lost && stream.begun {
                out.push(stream.failed(FailureKind::Rejected, Some(node)));
            }
            !lost
        });
    }
}

impl Stream {
    /// Hands out the parts whose turn it is; tells whether the last was among them.
    fn hand_out<W>(&mut self, out: &mut Vec<Delivery<W>>) -> bool {
        while let Some(Part { kept, end }) = self.early.remove(&self.next) {
            self.next += 1;
            self.bytes -= kept.len();
            out.push(Delivery::Chunk(Chunk { stream: self.number, kept, end, failure: None }));
            if end {
                return true;
            }
        }
        false
    }

    fn failed<W>(&self, kind: FailureKind, node: Option<&Arc<str>>) -> Delivery<W> {
        let failure = Some(Failure { kind, action: "".into(), node: node.cloned() });
        Delivery::Chunk(Chunk { stream: self.number, kept: Kept::default(), end: true, failure })
    }
}

impl<W: Send + 'static> Node<W> {
    /// A part of an answer.
    pub(super) fn answered_in_parts(
        &self,
        core: &mut Core<W>,
        sender: &str,
        response: &Response<'_>,
        call: Option<u64>,
        out: &mut Vec<Delivery<W>>,
    ) {
        let key = Streams::key(sender, true, &response.id);
        let seq = response.seq.unwrap_or_default();
        let waits = call.and_then(|number| core.take(number));
        match waits {
            Some(waiting) if response.stream == Some(true) || response.success => {
                let number = core.streams.open_stream(key.clone());
                let first = Box::new(Outcome::Stream(number, answer(sender, response)));
                out.push(Delivery::Reply(waiting.waiter, first));
                if seq > 0 {
                    self.put_part(core, key.clone(), seq, response, out);
                } else if response.stream == Some(false) {
                    // It ends as it begins.
                    let part = Part { kept: Kept::default(), end: true };
                    core.streams.put(key.clone(), 1, part, out);
                }
                core.streams.begin_key(&key, out);
            }
            Some(waiting) => {
                out.push(Delivery::Reply(waiting.waiter, Box::new(Outcome::Error(answer(sender, response)))));
            }
            None if core.streams.open.contains_key(&key) => self.put_part(core, key, seq, response, out),
            None => self.counts.orphan(),
        }
    }

    fn put_part(
        &self,
        core: &mut Core<W>,
        key: Key,
        seq: u64,
        response: &Response<'_>,
        out: &mut Vec<Delivery<W>>,
    ) {
        let error = response.error.filter(|_| !response.success);
        let part = Part {
            kept: Kept::of([response.data, error, None]),
            end: response.stream == Some(false) || error.is_some(),
        };
        core.streams.put(key, seq, part, out);
    }
}
