//! The endpoints that every service has: its schema, its statistics, an instance's key, its end.

use std::sync::Arc;

use crate::bridge::frame::builtin;
use crate::core::error::{Code, Error, Fate};
use crate::core::observe::Snapshot;

use super::call::Call;
use super::engine::Engine;
use super::host::{Answer, Host};

impl<H: Host> Engine<H> {
    pub(super) fn answer_builtin(self: &Arc<Self>, call: &Call<H>, answer: &mut Answer<H::Out>) {
        answer.reset();
        let text = match call.endpoint {
            builtin::DESCRIBE => self.schema.clone(),
            builtin::STATS => self.statistics_document(),
            builtin::STOP if call.connection.local => {
                self.begin_drain();
                String::new()
            }
            builtin::KEY => match call.connection.binding(call.instance).map(|b| self.host.key(&b.arguments))
            {
                Some(Ok(key)) => {
                    answer.parts().0.extend_from_slice(self.instances.slot(&key).digest());
                    return;
                }
                Some(Err(refusal)) => {
                    *answer = refusal;
                    return;
                }
                None => {
                    let error = Error::protocol(format!("instance {} was not bound", call.instance));
                    return answer.fail(&error.with_fate(Fate::Rejected));
                }
            },
            _ => {
                let error = Error::new(Code::EndpointNotFound, "no such built-in endpoint here");
                return answer.fail(&error.with_fate(Fate::Rejected));
            }
        };
        // Writing to a vector cannot fail.
        let _ = rmp::encode::write_str(answer.parts().0, &text);
    }

    /// The service's statistics now, as a JSON document.
    #[must_use]
    pub fn statistics_document(&self) -> String {
        #[derive(serde::Serialize)]
        struct Document {
            service: String,
            pid: u32,
            threads: usize,
            waiting: usize,
            #[serde(flatten)]
            snapshot: Snapshot,
        }
        let document = Document {
            service: self.service.clone(),
            pid: std::process::id(),
            threads: self.pool.threads(),
            waiting: self.waiting(),
            snapshot: self.observers.statistics.snapshot(self.instances.counts()),
        };
        serde_json::to_string(&document).unwrap_or_default()
    }
}
