//! An `iexecd sms` whose clock jumps while it is asked: a library that is loaded before the system's shifts what it is told of
//! the time of day, by the number of seconds in a file.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use http::Method;
use iexec_chain::devnet::DevAccount;
use iexec_protocol::{
    Address,
    authorization::TaskRef,
    call::sms::{SecretId, SessionOffer},
};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::{
    common::{Network, Raw, Service, Terms, enclave, enclave_key, evidence, key, refused},
    load::signed,
    process::Sms,
    request::{Ask, answer},
};

const YEARS: i64 = 10 * 365 * 24 * 3600;
/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_mins(1);

const SHIFT: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
static volatile int64_t *seconds;
__attribute__((constructor)) static void begin(void) {
    int file = open(getenv("SHIFTED_CLOCK"), O_RDONLY);
    seconds = mmap(0, sizeof *seconds, PROT_READ, MAP_SHARED, file, 0);
    if (seconds == MAP_FAILED) abort();
}
int clock_gettime(clockid_t clock, struct timespec *time) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int done = real(clock, time);
    if (done == 0 && clock == CLOCK_REALTIME && seconds) time->tv_sec += *seconds;
    return done;
}
"#;

/// A clock that another process goes by.
struct Clock {
    file: PathBuf,
    library: PathBuf,
}

impl Clock {
    fn new(folder: &Path) -> Self {
        let (source, library, file) = (folder.join("shift.c"), folder.join("shift.so"), folder.join("seconds"));
        std::fs::write(&source, SHIFT).unwrap();
        let mut compile = Command::new("cc");
        compile.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).arg("-ldl");
        assert!(compile.status().unwrap().success());
        let clock = Self { file, library };
        clock.jump(0);
        clock
    }

    /// It is now so many seconds ahead.
    fn jump(&self, seconds: i64) {
        use std::io::Write as _;
        // In place: the other process reads this very file.
        let file = std::fs::OpenOptions::new().write(true).create(true).truncate(false).open(&self.file);
        file.unwrap().write_all(&seconds.to_ne_bytes()).unwrap();
    }

    fn environment(&self) -> Vec<(&'static str, OsString)> {
        vec![("LD_PRELOAD", self.library.clone().into()), ("SHIFTED_CLOCK", self.file.clone().into())]
    }
}

/// An SMS with such a clock, and a task whose challenge it told.
struct Scene {
    network: Network,
    folder: TempDir,
    clock: Clock,
    sms: Sms,
    task: TaskRef,
    challenge: Address,
}

impl Scene {
    async fn set() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (network, clock) = (Network::start().await, Clock::new(folder.path()));
        let store = ["--data".into(), folder.path().join("sms").into()];
        let sms = Sms::start_in(&folder, &network.anvil.url(), &store, &[], clock.environment());
        network.push_beneficiary_key(&sms.service, "k").await;
        let task = network.task(Terms::default()).await;
        let challenge = network.challenge(&sms.service, task.id, DevAccount::Scheduler).await.unwrap();
        Self { network, folder, clock, sms, task, challenge }
    }

    async fn told(&self) -> Address {
        self.network.challenge(&self.sms.service, self.task.id, DevAccount::Scheduler).await.unwrap()
    }

    async fn offer(&self) -> SessionOffer {
        self.network.offer(&self.sms.service, &self.task, self.challenge).await.unwrap()
    }

    /// Shows sound evidence: 200, or the refusal's status and words.
    async fn show(&self, offer: &SessionOffer) -> (u16, String) {
        let key = enclave_key();
        let shown = evidence(&self.folder, enclave(), &key, self.task.id, offer);
        let answer = self.network.attest(offer, shown).await;
        if let Ok(sealed) = &answer {
            assert_eq!(key.open(sealed).unwrap().name, offer.session_id);
            return (200, String::new());
        }
        refused(answer)
    }

    async fn pass_on_chain(&self, seconds: u64) {
        for (method, params) in [("evm_increaseTime", vec![seconds]), ("evm_mine", vec![])] {
            let body = serde_json::json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
            let request = crate::request::Raw {
                method: Method::POST,
                path: "/".into(),
                authorization: None,
                media_type: Some("application/json"),
                body: body.to_string().into_bytes(),
            };
            let answer = self.network.client.send(&self.network.anvil.url(), &request).await.unwrap();
            assert_eq!(answer.status().as_u16(), 200);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_asked_for_while_the_clock_jumps_is_the_one_that_was_told() {
    let mut scene = Scene::set().await;
    for seconds in [3600, YEARS, -YEARS, -1, 0] {
        let asked = futures_util::future::join_all((0..16).map(async |number| {
            // The first half is on its way.
            if number == 8 {
                scene.clock.jump(seconds);
            }
            scene.told().await
        }));
        assert!(asked.await.iter().all(|told| *told == scene.challenge), "{seconds}");
        assert_eq!(scene.told().await, scene.challenge, "{seconds}");
    }
    // What ended is forgotten at a start. By its own clock all has ended, by the chain's the session alone.
    let offer = scene.offer().await;
    scene.pass_on_chain(5000).await;
    scene.clock.jump(YEARS);
    scene.sms.end(Signal::SIGKILL);
    scene.sms.again();
    let begun = Instant::now();
    while scene.show(&offer).await.0 != 404 {
        assert!(begun.elapsed() < PATIENCE, "the session that ended is not forgotten");
    }
    assert_eq!(scene.told().await, scene.challenge);
    assert_eq!(scene.sms.end(Signal::SIGTERM).code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_offered_or_signed_counts_in_its_time_by_the_clock_of_the_sms() {
    let scene = Scene::set().await;
    let offer = scene.offer().await;
    let sms: &Service = &scene.sms.service;
    let owner = key(DevAccount::Requester(0));
    let id = SecretId::Requester { requester: owner.address(), key: "k".into() };
    let put = signed(&Ask::put(sms, &id, "v", 1), &owner);
    let client = &scene.network.client;
    scene.clock.jump(1000);
    let (status, words) = scene.show(&offer).await;
    assert!(status == 410 && words.contains("the session expired"), "{status} {words}");
    assert_eq!(answer(client, sms, &put).await, "401 expired");
    scene.clock.jump(-1000);
    assert_eq!(answer(client, sms, &put).await, "401 deadline", "too far ahead");
    scene.clock.jump(YEARS);
    let (status, words) = scene.show(&scene.offer().await).await;
    assert!(status == 403 && words.contains("expired"), "collateral of years ago decides nothing: {status} {words}");
    scene.clock.jump(0);
    assert_eq!(answer(client, sms, &put).await, "200");
    assert_eq!(answer(client, sms, &put).await, "409 nonce-used");
    assert_eq!(scene.show(&offer).await.0, 200);
    let (status, words) = scene.show(&offer).await;
    assert!(status == 409 && words.contains("a session is given once"), "{status} {words}");
    let ready = client.send(&sms.origin, &Raw::new(Method::GET, "/health/ready")).await.unwrap();
    assert_eq!(ready.status().as_u16(), 200);
}
