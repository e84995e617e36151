//! What a client says.

/// Appends a command.
pub fn command(out: &mut Vec<u8>, parts: &[&[u8]]) {
    head(out, b'*', parts.len());
    for part in parts {
        bulk(out, part);
    }
}

/// Appends `PUBLISH`.
pub fn publish(out: &mut Vec<u8>, channel: &str, payload: &[u8]) {
    out.extend_from_slice(b"*3\r\n$7\r\nPUBLISH\r\n");
    bulk(out, channel.as_bytes());
    bulk(out, payload);
}

/// Appends `PUBLISH` of a message in parts.
pub fn publish_parts(out: &mut Vec<u8>, channel: &str, parts: &[&[u8]]) {
    out.extend_from_slice(b"*3\r\n$7\r\nPUBLISH\r\n");
    bulk(out, channel.as_bytes());
    head(out, b'$', parts.iter().map(|part| part.len()).sum());
    for part in parts {
        out.extend_from_slice(part);
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends `SUBSCRIBE`.
pub fn subscribe<'a>(out: &mut Vec<u8>, channels: impl ExactSizeIterator<Item = &'a str>) {
    head(out, b'*', channels.len() + 1);
    bulk(out, b"SUBSCRIBE");
    for channel in channels {
        bulk(out, channel.as_bytes());
    }
}

/// Appends `UNSUBSCRIBE`, from everything.
pub fn unsubscribe(out: &mut Vec<u8>) {
    command(out, &[b"UNSUBSCRIBE"]);
}

/// Appends `AUTH`.
pub fn auth(out: &mut Vec<u8>, user: Option<&str>, password: &str) {
    match user {
        Some(user) => command(out, &[b"AUTH", user.as_bytes(), password.as_bytes()]),
        None => command(out, &[b"AUTH", password.as_bytes()]),
    }
}

/// Appends `SELECT`.
pub fn select(out: &mut Vec<u8>, database: u32) {
    command(out, &[b"SELECT", itoa::Buffer::new().format(database).as_bytes()]);
}

/// Appends `PING`.
pub fn ping(out: &mut Vec<u8>) {
    command(out, &[b"PING"]);
}

fn head(out: &mut Vec<u8>, kind: u8, count: usize) {
    out.push(kind);
    out.extend_from_slice(itoa::Buffer::new().format(count).as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    head(out, b'$', bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}
