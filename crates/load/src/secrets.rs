//! Checks and pushes of secrets, on a small and on a large store by turns: what else the machine does meets both.

use anyhow::Result;

use crate::{
    Flags,
    database::{Database, Kind},
    exchange::Load,
    fill, one, report, requests,
    service::Service,
};

/// A store of some size, and the service on it.
struct Store {
    stored: u64,
    database: Database,
    service: Service,
}

impl Store {
    async fn make(flags: &Flags, kind: Kind, stored: u64) -> Result<Self> {
        let database = Database::make(kind)?;
        // Makes the schema.
        Service::start(&flags.iexecd, &database, None).await?.stop()?;
        fill::fill(&database, stored).await?;
        let service = Service::start(&flags.iexecd, &database, None).await?;
        Ok(Self { stored, database, service })
    }

    fn show_memory(&self, when: &str) -> Result<()> {
        let what = format!("memory {when}, {} stored", self.stored);
        report::memory(&self.database, &what, self.service.usage()?, self.database.usage()?);
        Ok(())
    }
}

/// Measures and prints.
pub(crate) async fn measure(flags: &Flags, kind: Kind) -> Result<()> {
    let mut stores = Vec::new();
    for stored in &flags.stored {
        let store = Store::make(flags, kind, *stored).await?;
        store.show_memory("idle")?;
        stores.push(store);
    }
    for connections in &flags.connections {
        checks(flags, &stores, *connections).await?;
    }
    for connections in &flags.connections {
        pushes(flags, &stores, *connections).await?;
    }
    for store in stores {
        store.show_memory("after the load")?;
        store.service.stop()?;
    }
    Ok(())
}

async fn checks(flags: &Flags, stores: &[Store], connections: usize) -> Result<()> {
    let asked =
        stores.iter().map(|store| requests::checks(store.stored, &store.service)).collect::<Result<Vec<_>>>()?;
    let mut done: Vec<Vec<_>> = stores.iter().map(|_| Vec::new()).collect();
    for _ in 0..flags.rounds {
        for ((store, requests), done) in stores.iter().zip(&asked).zip(&mut done) {
            let load = Load { requests, once: false, keep: false, connections, expected: 204, time: flags.time() };
            done.push(one(&store.service, &store.database, &load).await?);
        }
    }
    for (store, done) in stores.iter().zip(&done) {
        report::row(&store.database, &format!("check, {} stored", store.stored), connections, done);
    }
    Ok(())
}

async fn pushes(flags: &Flags, stores: &[Store], connections: usize) -> Result<()> {
    // One connection waits for the disk each time.
    let most = if connections == 1 { 2_000 } else { 8_000 } * usize::try_from(flags.seconds)?;
    let mut done: Vec<Vec<_>> = stores.iter().map(|_| Vec::new()).collect();
    for _ in 0..flags.rounds {
        for (store, done) in stores.iter().zip(&mut done) {
            let requests = requests::pushes(most, &store.service)?;
            let (requests, time) = (requests.as_slice(), flags.time());
            let load = Load { requests, once: true, keep: false, connections, expected: 204, time };
            done.push(one(&store.service, &store.database, &load).await?);
        }
    }
    for (store, done) in stores.iter().zip(&done) {
        report::row(&store.database, &format!("push, {} stored before", store.stored), connections, done);
    }
    Ok(())
}
