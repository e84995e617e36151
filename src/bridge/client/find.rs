//! Finding a service: who serves the name now, what it offers, and a connection to one of its processes.

use std::sync::Arc;

use crate::bridge::frame::{self, Allocate, Frame, ReplyEnvelope, RequestEnvelope, builtin};
use crate::bridge::hello::{Lane, Mode};
use crate::bridge::lease::State;
use crate::bridge::schema::Schema;
use crate::core::deadline::Deadline;
use crate::core::error::{Code, Error, Fate, Result};
use crate::core::platform::fork::generation;

use super::Interrupt;
use super::blocking::{Client, INSTANCE, failure_message};
use super::channel::{self, Channel, Outgoing};
use super::dial::{self, Dialled, Introduction};
use super::home::{Home, Worker, known_schema, ranked, remember_schema};
use super::target::Target;

impl<A> Client<A>
where
    A: Allocate,
    A::Buffer: Send + AsMut<[u8]>,
{
    /// Looks who serves the name now.
    ///
    /// # Errors
    /// As [`Client::connect`], without waiting for a service that is not there.
    pub fn refresh(&self, deadline: Deadline, interrupt: Interrupt<'_>) -> Result<Arc<Home<A::Buffer>>> {
        let leases = match &self.options.target {
            Target::Tcp { .. } => Vec::new(),
            Target::Local { service } => {
                let mut leases = self.options.registry.find(service)?;
                if leases.is_empty() {
                    return Err(self.not_found());
                }
                leases.retain(|lease| lease.state == State::Serving);
                if leases.is_empty() {
                    let text = format!("service {service:?} is stopping, and none has taken its place yet");
                    return Err(Error::new(Code::ServiceUnavailable, text));
                }
                leases
            }
        };
        let expected = leases.iter().map(|lease| usize::from(lease.workers)).max().unwrap_or(1);
        let mut workers: Vec<Worker<A::Buffer>> = match leases.is_empty() {
            true => vec![Worker::new(None)],
            false => leases.into_iter().map(|lease| Worker::new(Some(lease))).collect(),
        };
        if let Some(known) = self.last_home() {
            known.acquaint(&workers);
        }
        let mut last = self.not_found();
        let mut opened = None;
        let mut alive = Vec::with_capacity(workers.len());
        for worker in workers.drain(..) {
            if opened.is_some() {
                alive.push(worker);
                continue;
            }
            match self.open(&worker, Lane::Plain, deadline, interrupt) {
                Ok(channel) => {
                    opened = Some(channel);
                    alive.push(worker);
                }
                Err(error) if error.code == Code::ServiceUnavailable => last = error,
                Err(error) => return Err(error),
            }
        }
        let Some(mut channel) = opened else { return Err(last) };
        let schema = self.schema_over(&mut channel, deadline, interrupt)?;
        let most = usize::try_from(channel.welcome.max_frame).unwrap_or(usize::MAX);
        let mut home = Home::new(schema, most, alive, expected);
        if matches!(self.options.target, Target::Tcp { .. }) && channel.welcome.workers > 1 {
            self.find_owner(&mut home, channel, deadline, interrupt)?;
        } else {
            if home.workers.len() > 1 {
                let key = self.builtin(&mut channel, builtin::KEY, INSTANCE, deadline, interrupt)?;
                home.settle(key.payload());
            }
            home.workers[0].give_back(Lane::Plain, channel);
        }
        let home = Arc::new(home);
        *self.slot().write() = Some(Arc::clone(&home));
        Ok(home)
    }

    /// Finds the process that has this client's instance, at a port where any may answer.
    fn find_owner(
        &self,
        home: &mut Home<A::Buffer>,
        mut channel: Channel<A::Buffer>,
        deadline: Deadline,
        interrupt: Interrupt<'_>,
    ) -> Result<()> {
        let (met, workers) = (channel.welcome.worker, channel.welcome.workers);
        let key = self.builtin(&mut channel, builtin::KEY, INSTANCE, deadline, interrupt)?;
        for number in ranked(key.payload(), workers) {
            let worker = Worker::seated(number, workers);
            if let Some(known) = self.last_home() {
                known.acquaint(std::slice::from_ref(&worker));
            }
            if number == met {
                worker.meet(&channel.welcome);
                worker.give_back(Lane::Plain, channel);
                home.add_owner(worker);
                return Ok(());
            }
            match self.open(&worker, Lane::Plain, deadline, interrupt) {
                Ok(own) => {
                    worker.give_back(Lane::Plain, own);
                    home.workers[0].give_back(Lane::Plain, channel);
                    home.add_owner(worker);
                    return Ok(());
                }
                // It has ended; look again when another may be in its place.
                Err(error) if error.code == Code::ServiceUnavailable => home.expected += 1,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn schema_over(
        &self,
        channel: &mut Channel<A::Buffer>,
        deadline: Deadline,
        interrupt: Interrupt<'_>,
    ) -> Result<Arc<Schema>> {
        if let Some(schema) = known_schema(&channel.welcome.schema) {
            return Ok(schema);
        }
        let reply = self.builtin(channel, builtin::DESCRIBE, 0, deadline, interrupt)?;
        let document = rmp::decode::read_str_from_slice(reply.payload())
            .map_err(|_| Error::protocol("a schema document that is no string"))?
            .0;
        let schema = Arc::new(Schema::parse(document)?);
        remember_schema(&schema);
        Ok(schema)
    }

    fn builtin(
        &self,
        channel: &mut Channel<A::Buffer>,
        endpoint: u16,
        instance: u32,
        deadline: Deadline,
        interrupt: Interrupt<'_>,
    ) -> Result<Frame<A::Buffer>> {
        let mut outgoing = Outgoing::<Vec<u8>>::default();
        let envelope = RequestEnvelope { call: 1, remaining: deadline.to_wire(), instance, endpoint };
        frame::begin_request(&mut outgoing.head, 0, &envelope).finish_small(&mut outgoing.head);
        channel.send(&outgoing, deadline, interrupt)?;
        let reply = channel.receive_reply(&self.allocator, deadline, interrupt)?;
        let envelope = ReplyEnvelope::read(reply.envelope())?;
        if envelope.code != Code::Ok {
            let message = failure_message(reply.payload());
            return Err(Error::new(envelope.code, message).with_fate(envelope.fate));
        }
        Ok(reply)
    }

    pub(super) fn open(
        &self,
        worker: &Worker<A::Buffer>,
        lane: Lane,
        deadline: Deadline,
        interrupt: Interrupt<'_>,
    ) -> Result<Channel<A::Buffer>> {
        let limits = &self.options.limits;
        let patience = Deadline::after(limits.handshake_timeout).min_with(Some(deadline));
        let dialled = self.dial(worker, (Mode::OneCall, lane), channel::chunk(), patience, interrupt)?;
        dialled
            .stream
            .set_blocking()
            .map_err(|error| Error::io(Code::ServiceUnavailable, "preparing the connection", &error))?;
        let mut channel =
            Channel::new(dialled.stream, dialled.reader, dialled.welcome, limits.poll_budget, generation());
        let bind = Outgoing::<Vec<u8>> { head: self.bind.clone(), buffers: Vec::new() };
        channel.send(&bind, patience, interrupt).map_err(|error| error.with_fate(Fate::NotSent))?;
        Ok(channel)
    }

    /// Opens a connection to one of the service's processes.
    ///
    /// # Errors
    /// As [`Client::connect`], without waiting for a service that is not there.
    pub fn dial(
        &self,
        worker: &Worker<A::Buffer>,
        (mode, lane): (Mode, Lane),
        chunk: usize,
        deadline: Deadline,
        interrupt: Interrupt<'_>,
    ) -> Result<Dialled<A::Buffer>> {
        let mut knocks = worker.knocks();
        let dialled = loop {
            knocks -= 1;
            match self.knock(worker, (mode, lane), chunk, deadline, interrupt) {
                // Another process has answered, and said so.
                Err(error)
                    if (error.code, error.fate) == (Code::ServiceUnavailable, Fate::Rejected)
                        && knocks > 0 => {}
                found => break found?,
            }
        };
        if !worker.is_still(&dialled.welcome) {
            let text = format!("service {:?} has changed since it was found", self.service());
            return Err(Error::new(Code::ServiceUnavailable, text));
        }
        worker.meet(&dialled.welcome);
        Ok(dialled)
    }

    fn knock(
        &self,
        worker: &Worker<A::Buffer>,
        (mode, lane): (Mode, Lane),
        chunk: usize,
        deadline: Deadline,
        interrupt: Interrupt<'_>,
    ) -> Result<Dialled<A::Buffer>> {
        let stream = match (&self.options.target, &worker.lease) {
            (Target::Tcp { host, port, .. }, _) => {
                dial::tcp(host, *port, self.options.tls.as_ref(), deadline, interrupt)?
            }
            (Target::Local { .. }, Some(lease)) => dial::unix(&lease.socket, deadline, interrupt)?,
            (Target::Local { .. }, None) => return Err(self.not_found()),
        };
        let introduction = Introduction {
            service: self.service(),
            nonce: worker.lease.as_ref().map(|lease| lease.nonce.as_slice()),
            worker: worker.number(),
            since: worker.since(),
            mode,
            lane,
            token: self.options.token.as_ref(),
            limits: &self.options.limits,
        };
        dial::introduce(stream, introduction, chunk, deadline, interrupt)
    }

    pub(super) fn not_found(&self) -> Error {
        Error::new(
            Code::ServiceNotFound,
            format!(
                "no process of this user serves {:?}; start it, or see `ironbridge ps`",
                self.options.target.service()
            ),
        )
    }
}
