//! A hub of the `zeromq` crate's sockets, as its users would write one.

use zeromq::{PubSocket, PullSocket, Socket, SocketRecv, SocketSend};

use crate::Failure;

pub(crate) fn run(sender: &str, receiver: &str, until_the_end: impl FnOnce()) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let _inside = runtime.enter();
    let (mut pull, mut publisher) = (PullSocket::new(), PubSocket::new());
    runtime.block_on(async {
        publisher.bind(sender).await?;
        pull.bind(receiver).await
    })?;
    println!("ready");
    runtime.spawn(async move {
        while let Ok(message) = pull.recv().await {
            if publisher.send(message).await.is_err() {
                return;
            }
        }
    });
    until_the_end();
    Ok(())
}
