//! Python values ⇄ msgpack bytes.
