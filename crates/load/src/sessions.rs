//! Challenges, offers and releases of sessions: signatures, the chain, the verification of a quote.
//!
//! The quotes are made between the measurements, as soon as the nonces are known.

use std::sync::Arc;

use anyhow::{Result, ensure};

use crate::{
    Flags,
    database::{Database, Kind},
    exchange::{self, Load, Measured},
    one, report,
    scene::Scene,
    service::Service,
};

/// What is measured.
struct Bench<'a> {
    flags: &'a Flags,
    scene: &'a Scene,
    database: Database,
    service: Service,
}

/// The chain for all databases: each service makes challenges of its own.
pub(crate) async fn scene(flags: &Flags) -> Result<Scene> {
    let tasks = flags.challenges * flags.rounds * flags.connections.len();
    Scene::set(u64::try_from(tasks)?).await
}

/// Measures and prints.
pub(crate) async fn measure(flags: &Flags, kind: Kind, scene: &Scene) -> Result<()> {
    let database = Database::make(kind)?;
    let service = Service::start(&flags.iexecd, &database, Some(scene)).await?;
    let bench = Bench { flags, scene, database, service };
    let key = [bench.scene.beneficiary_key(&bench.service.origin())?];
    exchange::run(bench.service.address(), &bench.load(&key, 1, 204)).await?;
    let mut sessions = Vec::new();
    for (number, connections) in flags.connections.iter().enumerate() {
        sessions.extend(bench.challenges(number, *connections).await?);
    }
    for connections in &flags.connections {
        bench.sessions(&sessions, *connections).await?;
    }
    let Bench { database, service, .. } = bench;
    report::memory(&database, "memory after sessions", service.usage()?, database.usage()?);
    service.stop()
}

/// A request for a session, and its task's number.
type Session = (u64, Arc<[u8]>);

impl Bench<'_> {
    fn load<'l>(&self, requests: &'l [Arc<[u8]>], connections: usize, expected: u16) -> Load<'l> {
        Load { requests, once: true, keep: true, connections, expected, time: self.flags.time() }
    }

    /// Asks for challenges of tasks that have none; makes the requests for their sessions.
    async fn challenges(&self, number: usize, connections: usize) -> Result<Vec<Session>> {
        let (mut done, mut sessions) = (Vec::new(), Vec::new());
        for round in 0..self.flags.rounds {
            let first = (number * self.flags.rounds + round) * self.flags.challenges;
            let requests = (first..first + self.flags.challenges)
                .map(|task| self.scene.challenge(&self.service.origin(), task as u64))
                .collect::<Result<Vec<_>>>()?;
            let measured = one(&self.service, &self.database, &self.load(&requests, connections, 200)).await?;
            for (at, challenge) in &measured.answers {
                let task = (first + at) as u64;
                sessions.push((task, self.scene.session(&self.service.origin(), task, challenge)?));
            }
            done.push(measured);
        }
        report::row(&self.database, "challenge", connections, &done);
        Ok(sessions)
    }

    /// Offers, then releases of what was offered.
    async fn sessions(&self, sessions: &[Session], connections: usize) -> Result<()> {
        let requests: Vec<_> = sessions.iter().map(|(_, request)| Arc::clone(request)).collect();
        let (mut offered, mut released) = (Vec::new(), Vec::new());
        for _ in 0..self.flags.rounds {
            let load = Load { once: false, ..self.load(&requests, connections, 200) };
            let mut offers = one(&self.service, &self.database, &load).await?;
            let evidence = self.evidence(sessions, &offers)?;
            offers.answers.clear();
            offered.push(offers);
            let load = self.load(&evidence, connections, 200);
            released.push(Measured { answers: Vec::new(), ..one(&self.service, &self.database, &load).await? });
        }
        report::row(&self.database, "session offered", connections, &offered);
        report::row(&self.database, "session released (evidence verified)", connections, &released);
        report::both(&self.database, "offered and released", connections, &offered, &released);
        Ok(())
    }

    fn evidence(&self, sessions: &[Session], offers: &Measured) -> Result<Vec<Arc<[u8]>>> {
        ensure!(!offers.answers.is_empty(), "no session was offered");
        let origin = self.service.origin();
        let of = |(at, offer): &(usize, Vec<u8>)| self.scene.evidence(&origin, sessions[*at].0, offer);
        offers.answers.iter().map(of).collect()
    }
}
