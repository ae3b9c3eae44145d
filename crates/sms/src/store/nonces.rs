//! The table of used nonces: a signed request counts once.

use futures_util::future::BoxFuture;
use iexec_protocol::{Address, B256, Timestamp};

use super::{
    Entry, Event, Refused, Source, Store, StoreError,
    secrets::take_nonce,
    writer::{Batch, Write},
};

struct Use {
    signer: Address,
    nonce: B256,
    deadline: Timestamp,
}

impl Write for Use {
    type Reply = bool;

    fn run<'a>(&'a self, batch: &'a mut Batch<'_>) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(take_nonce(batch.db, self.signer, self.nonce, self.deadline))
    }
}

impl Store {
    /// Uses a signer's nonce up, for requests that write nothing else; `false` if it was used before.
    pub(crate) async fn use_nonce(
        &self,
        signer: Address,
        nonce: B256,
        deadline: Timestamp,
    ) -> Result<bool, StoreError> {
        let fresh = self.writer.write(Use { signer, nonce, deadline }).await?;
        if !fresh {
            let refused = Refused { source: Source::Owner(signer), request: "list", cause: "nonce used" };
            self.refused(refused, Entry::new(Event::Refused).by(signer)).await?;
        }
        Ok(fresh)
    }
}
