//! What a call and an event of another node have in common, kept as it came: most of it nobody asks for.

use super::kept::Kept;

/// A packet's parts, but for what it is about.
#[derive(Debug)]
pub struct Envelope {
    /// How many calls led to it, with itself.
    pub level: u32,
    /// Whether it is traced.
    pub tracing: Option<bool>,
    pub(super) parts: Kept<9>,
}

impl Envelope {
    /// Which call it is to its caller, or which event.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.parts.text(0)
    }

    /// The node that calls, or tells.
    #[must_use]
    pub fn sender(&self) -> &str {
        self.parts.text(1).unwrap_or_default()
    }

    /// A call's parameters, or what happened, in the mesh's serializer.
    #[must_use]
    pub fn data(&self) -> Option<&[u8]> {
        self.parts.part(2)
    }

    /// What travels with it.
    #[must_use]
    pub fn meta(&self) -> Option<&[u8]> {
        self.parts.part(3)
    }

    /// What travels with it alone.
    #[must_use]
    pub fn headers(&self) -> Option<&[u8]> {
        self.parts.part(4)
    }

    /// The first call of all that led to it.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.parts.text(5)
    }

    /// The call within which it was made.
    #[must_use]
    pub fn parent_id(&self) -> Option<&str> {
        self.parts.text(6)
    }

    /// The service that calls, or tells.
    #[must_use]
    pub fn caller(&self) -> Option<&str> {
        self.parts.text(7)
    }

    pub(super) fn event(&self) -> &str {
        self.parts.text(8).unwrap_or_default()
    }
}
