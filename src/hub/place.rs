//! Files of the runtime directory that belong to a pair of endpoints, or to one.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::endpoint::Endpoint;
use crate::core::error::Result;
use crate::core::platform::directory::Places;
use crate::core::secret::hexadecimal;

/// The file that whoever does something with these endpoints holds the lock of.
pub(super) fn lock_path(kind: &str, endpoints: &[&Endpoint]) -> Result<PathBuf> {
    let mut hash = Sha256::new();
    for endpoint in endpoints {
        hash.update(identity(endpoint));
        hash.update([0]);
    }
    let hash = hexadecimal(hash.finalize().get(..8).unwrap_or_default());
    Ok(Places::from_env()?.choose()?.join(format!("hub-{hash}.{kind}")))
}

/// The same bytes for every spelling of an endpoint.
fn identity(endpoint: &Endpoint) -> Vec<u8> {
    let place = match endpoint {
        Endpoint::Ipc(path) => Endpoint::Ipc(whole(path)),
        other => other.to_dial(),
    };
    place.to_string().to_ascii_lowercase().replace("localhost", "127.0.0.1").into_bytes()
}

/// The path from the root, its directory's symbolic links followed.
fn whole(path: &Path) -> PathBuf {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match (directory.canonicalize(), path.file_name()) {
        (Ok(directory), Some(name)) => directory.join(name),
        _ => path.to_path_buf(),
    }
}
