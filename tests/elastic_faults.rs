//! What must hold on a real server whatever goes wrong: Picket processes killed at random moments,
//! a server killed and started again, a network that cuts, delays, truncates and refuses, writers
//! that add late documents and write others anew, analysts who decide at the same time. Afterwards
//! every document bears the verdict that a fresh judge would give it, no finding is there twice,
//! and nothing a person said is changed.
//!
//! `PICKET_TEST_SERVER_RESTART` is the command that kills the server and starts it again on the same
//! data; `tests/servers/all` gives it. `PICKET_TEST_FAULTS=long` runs the long form;
//! `PICKET_TEST_SEED` repeats a run's choices.

mod cluster;
mod people;
mod proxy;
mod verdict;

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use elasticsearch::http::Method;
use picket::store::elastic::Connection;
use serde_json::json;
use tokio::task::JoinHandle;

use self::cluster::Cluster;
use self::people::{Desk, SHIPPERS};
use self::proxy::Proxy;
use crate::store_elastic::home::Home;
use crate::store_elastic::server::Server;
use crate::support::skip;

/// Numbers that look random and are the same for the same seed (splitmix64).
#[derive(Clone)]
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % end as u64) as usize
    }
}

/// How much is done at least.
struct Size {
    documents: usize,
    kills: usize,
    cuts: usize,
    storms: usize,
    restarts: usize,
    /// How long the rest may take that is left at the end.
    rest: Duration,
}

const SHORT: Size = Size {
    documents: 6_000,
    kills: 8,
    cuts: 5,
    storms: 1,
    restarts: 1,
    rest: Duration::from_secs(300),
};
const LONG: Size = Size {
    documents: 200_000,
    kills: 100,
    cuts: 100,
    storms: 10,
    restarts: 5,
    rest: Duration::from_secs(1_200),
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_goes_wrong_every_document_is_judged_as_it_is() {
    let Some(server) = Server::get().await else {
        return;
    };
    let restart = std::env::var("PICKET_TEST_SERVER_RESTART").ok();
    if restart.is_none() {
        skip(
            "servers",
            "no PICKET_TEST_SERVER_RESTART, so the faults run without restarts of the server",
        );
    }
    let form = std::env::var("PICKET_TEST_FAULTS").unwrap_or_default();
    let size = match form.as_str() {
        "long" => LONG,
        _ => SHORT,
    };
    let seed = std::env::var("PICKET_TEST_SEED").map_or_else(
        |_| u64::from(std::process::id()) ^ Instant::now().elapsed().as_nanos() as u64,
        |seed| seed.parse().unwrap(),
    );
    println!(
        "PICKET_TEST_SEED={seed} on {}",
        server.elastic().await.server()
    );
    run(&server, seed, &size, restart.as_deref()).await;
}

async fn run(server: &Server, seed: u64, size: &Size, restart: Option<&str>) {
    let begun = Instant::now();
    let base = format!("faults-{:08x}", seed as u32);
    let desk = Arc::new(Desk {
        cluster: Cluster(server.http.clone()),
        indices: [format!("{base}-a"), format!("{base}-b")],
        allowed: AtomicUsize::new(0),
        written: Default::default(),
        done: false.into(),
    });
    for (index, shards) in desk.indices.iter().zip([3, 1]) {
        let body = json!({
            "settings": { "number_of_shards": shards, "number_of_replicas": 0 },
            "mappings": { "properties": { "order": { "type": "long" } } },
        });
        desk.cluster
            .must(Method::Put, index, body.to_string())
            .await;
    }
    let direct = &server.connection;
    let proxy = proxy::start(&direct.urls[0], direct.ca.as_deref(), seed).await;
    let connection = Connection {
        urls: vec![format!("http://127.0.0.1:{}", proxy.port)],
        ca: None,
        timeout: Duration::from_secs(10),
        ..direct.clone()
    };
    // Who was killed is missed soon, so that the next has something to be killed at.
    let lease = Duration::from_secs(3);
    let home = Home::leasing(&connection, &base, &format!("{base}-*"), lease);

    let shippers: Vec<_> = (0..SHIPPERS)
        .map(|number| {
            let desk = Arc::clone(&desk);
            let chance = Chance(seed ^ (number as u64 + 1));
            let share = size.documents / SHIPPERS;
            tokio::spawn(async move { desk.ship(number, share, chance).await })
        })
        .collect();
    let analysts: Vec<_> = (0..2)
        .map(|number| {
            let desk = Arc::clone(&desk);
            let chance = Chance(seed ^ (99 + number as u64));
            tokio::spawn(async move { desk.decide(number, chance).await })
        })
        .collect();
    let sweeps = Sweeps::new(&home, &base);
    let outcome = mishaps(&desk, &proxy, &sweeps, size, restart, Chance(seed ^ 7)).await;
    for shipper in shippers {
        shipper.await.unwrap();
    }
    desk.done.store(true, Ordering::SeqCst);
    proxy.faulty.store(false, Ordering::SeqCst);
    sweeps.rest(size.rest).await;
    let mut books = Vec::new();
    for analyst in analysts {
        books.push(analyst.await.unwrap());
    }
    let decisions: usize = books.iter().map(|book| book.decisions.len()).sum();
    let documents = verdict::check(&desk, books).await;
    let of = |counter: &AtomicUsize| counter.load(Ordering::SeqCst);
    let done = &proxy.mishaps;
    println!(
        "seed {seed}: {} documents, {} findings, {decisions} decisions of analysts, {} kills ({} of \
         who held shards), {} restarts of the server, {} cuts, {} truncated answers, {} delays, {} \
         refusals, {} storms: {} s",
        documents.0,
        documents.1,
        outcome.kills,
        outcome.at_work,
        outcome.restarts,
        of(&done.cuts),
        of(&done.truncated),
        of(&done.delays),
        of(&done.refused),
        of(&done.storms),
        begun.elapsed().as_secs()
    );
    assert_eq!(documents.0, size.documents / SHIPPERS * SHIPPERS);
    assert!(
        outcome.at_work * 4 > outcome.kills,
        "killed mostly who had nothing to do"
    );
    for index in &desk.indices {
        desk.cluster
            .must(Method::Delete, index, String::new())
            .await;
    }
}

/// What was done to Picket and to the server.
#[derive(Default)]
struct Outcome {
    kills: usize,
    /// Kills of processes that held shards at that moment.
    at_work: usize,
    restarts: usize,
}

/// Lets two processes sweep, kills them, restarts the server, and lets shippers write a part more
/// each time, until everything was done often enough.
async fn mishaps(
    desk: &Arc<Desk>,
    proxy: &Proxy,
    sweeps: &Sweeps<'_>,
    size: &Size,
    restart: Option<&str>,
    mut chance: Chance,
) -> Outcome {
    let mut outcome = Outcome::default();
    let mut restarting: Option<JoinHandle<()>> = None;
    let parts = size.kills * 3 / 4;
    let restarts = restart.map_or(0, |_| size.restarts);
    let share = size.documents / SHIPPERS;
    let shipped = || {
        desk.written
            .iter()
            .all(|w| w.load(Ordering::SeqCst) >= share)
    };
    let enough = |counter: &AtomicUsize, least| counter.load(Ordering::SeqCst) >= least;
    let mut part = 0;
    while outcome.kills < size.kills
        || outcome.at_work * 4 <= outcome.kills
        || outcome.restarts < restarts
        || restarting.is_some()
        || !enough(&proxy.mishaps.cuts, size.cuts)
        || !enough(&proxy.mishaps.storms, size.storms)
        || !shipped()
    {
        // While the server is away nobody writes, and no kill counts.
        let away = restarting.is_some();
        part += usize::from(!away);
        assert!(
            part <= parts * 10 + 100,
            "after {part} parts not everything was done often enough: somebody stopped writing, or a mishap never came"
        );
        let allowed = (share * part).div_ceil(parts).min(share);
        desk.allowed.store(allowed, Ordering::SeqCst);
        if restarting.as_ref().is_some_and(JoinHandle::is_finished)
            && let Some(restarted) = restarting.take()
        {
            restarted.await.unwrap();
        }
        let due =
            outcome.restarts < restarts && part * (restarts + 1) > parts * (outcome.restarts + 1);
        if let Some(command) = restart.filter(|_| due && restarting.is_none()) {
            let command = command.to_owned();
            restarting = Some(tokio::task::spawn_blocking(move || started_again(&command)));
            outcome.restarts += 1;
        }
        let mut two = [sweeps.begin(), sweeps.begin()];
        tokio::time::sleep(Duration::from_millis(50 + chance.below(2_500) as u64)).await;
        // Any moment will do for one part in three; the others strike who has something to do, which
        // on a slow machine comes later than the moments above.
        if part % 3 != 0 && !away {
            let patience = Duration::from_secs(5);
            sweeps.at_work(&desk.cluster, &mut two, patience).await;
        }
        for child in &mut two {
            // Sometimes one is left to end by itself; as long as analysts write, it need not.
            let spared = chance.below(4) == 0 && sweeps.ends(child, Duration::from_secs(5)).await;
            if !spared && child.try_wait().unwrap().is_none() {
                child.kill().unwrap();
                if !away {
                    outcome.kills += 1;
                    let held = sweeps.held(&desk.cluster, child.id()).await;
                    outcome.at_work += usize::from(held);
                }
            }
            sweeps.ended(child);
        }
        if !away && part % 10 == 0 {
            let (kills, at_work) = (outcome.kills, outcome.at_work);
            println!("part {part} of {parts}: {kills} kills, {at_work} at work");
        }
    }
    outcome
}

/// Kills the server and starts it again.
fn started_again(command: &str) {
    let mut shell = Command::new("bash");
    let shell = shell
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    assert!(shell.status().unwrap().success(), "{command}");
}

/// Processes that sweep.
struct Sweeps<'h> {
    home: &'h Home,
    name: &'h str,
}

impl<'h> Sweeps<'h> {
    fn new(home: &'h Home, name: &'h str) -> Self {
        Self { home, name }
    }

    fn begin(&self) -> Child {
        let errors = File::options()
            .create(true)
            .append(true)
            .open(self.home.file("errors"))
            .unwrap();
        let mut command = self.home.picket(&["sweep", "-o", "ndjson"]);
        command
            .stdout(Stdio::null())
            .stderr(errors)
            .spawn()
            .unwrap()
    }

    /// Whether it ends by itself within that time.
    async fn ends(&self, child: &mut Child, patience: Duration) -> bool {
        let begun = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if begun.elapsed() > patience {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        true
    }

    /// Waits until one of them holds shards or all have ended, for that time at most.
    async fn at_work(&self, cluster: &Cluster, children: &mut [Child], patience: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < patience {
            let mut left = false;
            for child in &mut *children {
                if child.try_wait().unwrap().is_some() {
                    continue;
                }
                left = true;
                if self.held(cluster, child.id()).await {
                    return;
                }
            }
            if !left {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits for its end. A server that is away is no fault; anything else that is said is.
    fn ended(&self, child: &mut Child) {
        let code = child.wait().unwrap().code();
        if !matches!(code, None | Some(0 | 3)) {
            let errors = fs::read_to_string(self.home.file("errors")).unwrap();
            panic!("ended with {code:?}: {errors}");
        }
    }

    /// Whether that process holds shards, or did when it was killed; not known while the server is away.
    async fn held(&self, cluster: &Cluster, process: u32) -> bool {
        let path = format!(".picket-state/_doc/sweep:{}", self.name);
        let Ok((200, state)) = cluster.try_ask(Method::Get, &path, "").await else {
            return false;
        };
        let leases = state["_source"]["leases"].as_object().unwrap();
        let its = format!("{process}-");
        leases
            .values()
            .any(|lease| lease["owner"].as_str().unwrap().starts_with(&its))
    }

    /// Sweeps until nothing waits.
    async fn rest(&self, patience: Duration) {
        let begun = Instant::now();
        loop {
            let swept = self.home.picket(&["sweep"]).output().unwrap();
            let status = self
                .home
                .picket(&["status", "--exit-code"])
                .output()
                .unwrap();
            if swept.status.success() && status.status.code() == Some(0) {
                return;
            }
            assert!(
                begun.elapsed() < patience,
                "it does not come to rest: {} {} {}",
                String::from_utf8_lossy(&swept.stderr),
                String::from_utf8_lossy(&status.stdout),
                String::from_utf8_lossy(&status.stderr)
            );
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}
