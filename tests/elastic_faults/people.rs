//! Who else writes: shippers, with late documents, out of order, and some written again; and
//! analysts, who look at documents and decide. What they saw and said is kept, to be compared.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use elasticsearch::http::Method;
use serde_json::{Value, json};

use super::Chance;
use super::cluster::Cluster;

const COMMANDS: [&str; 6] = [
    "dir C:\\\\Users",
    "ping 10.0.0.5",
    "notepad report.txt",
    "hostname",
    "quux --probe",
    "quux --harvest",
];

/// The level that a fresh judge gives a document with that command.
pub(super) fn level(command: &str) -> u64 {
    match command {
        command if command.contains("--harvest") => 2,
        command if command.contains("--probe") => 1,
        _ => 0,
    }
}

/// How many shippers there are, and how far apart their numbers.
pub(super) const SHIPPERS: usize = 3;
const APART: usize = 10_000_000;

/// What shippers and analysts share.
pub(super) struct Desk {
    pub(super) cluster: Cluster,
    pub(super) indices: [String; 2],
    /// How many documents each shipper may have written by now.
    pub(super) allowed: AtomicUsize,
    /// How many each has written.
    pub(super) written: [AtomicUsize; SHIPPERS],
    pub(super) done: AtomicBool,
}

impl Desk {
    fn index(&self, order: usize) -> &str {
        &self.indices[order % 3 % 2]
    }

    /// Writes `count` documents with event times in any order, and now and then one anew, whose
    /// text then is a worse one. Documents that an analyst may decide on are left alone.
    pub(super) async fn ship(&self, shipper: usize, count: usize, mut chance: Chance) {
        let mut next = 0;
        while next < count {
            let allowed = self.allowed.load(Ordering::SeqCst).min(count);
            if next >= allowed {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
            let mut lines = String::new();
            for _ in 0..(1 + chance.below(100)).min(allowed - next) {
                let command = COMMANDS[chance.below(COMMANDS.len())];
                lines += &self.line(shipper * APART + next, 0, command, &mut chance);
                next += 1;
                if chance.below(10) == 0 {
                    let earlier = chance.below(next);
                    if earlier % 2 == 1 {
                        let order = shipper * APART + earlier;
                        lines += &self.line(order, next, "quux --harvest again", &mut chance);
                    }
                }
            }
            self.cluster.write(lines).await;
            self.written[shipper].store(next, Ordering::SeqCst);
        }
    }

    fn line(&self, order: usize, edition: usize, command: &str, chance: &mut Chance) -> String {
        // Up to a month late.
        let time = 1_790_000_000_000 - chance.below(30 * 86_400_000) as i64;
        let time = chrono::DateTime::from_timestamp_millis(time).unwrap();
        let source = json!({
            "@timestamp": time.to_rfc3339(),
            "order": order,
            "edition": edition,
            "winlog": {
                "channel": "Microsoft-Windows-Sysmon/Operational",
                "event_id": "1",
                "computer_name": "WS5",
                "event_data": { "Image": "C:\\Windows\\quux.exe", "CommandLine": command },
            },
        });
        let head = json!({ "index": { "_index": self.index(order), "_id": order.to_string() } });
        format!("{head}\n{source}\n")
    }

    /// Looks at documents, and says of some "that was me" and of some "that was not me", under
    /// their version, until all is done. Each of the analysts has documents of its own to decide on.
    pub(super) async fn decide(&self, analyst: usize, mut chance: Chance) -> Casebook {
        let mut book = Casebook::default();
        while !self.done.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let shipper = chance.below(SHIPPERS);
            let count = self.written[shipper].load(Ordering::SeqCst);
            let order = shipper * APART + chance.below(count.max(1));
            if let Some(document) = self.look(order).await {
                book.saw(order, &document["_source"]);
                let its = order % 4 == analyst * 2;
                if its && chance.below(3) == 0 && !book.decisions.contains_key(&order) {
                    let innocent = chance.below(2) == 0;
                    if let Some(decision) = self.say(order, document, innocent).await {
                        book.decisions.insert(order, decision);
                    }
                }
            }
        }
        book
    }

    async fn look(&self, order: usize) -> Option<Value> {
        let path = format!("{}/_doc/{order}", self.index(order));
        let (status, document, _) = self.cluster.ask(Method::Get, &path, String::new()).await;
        (status == 200).then_some(document)
    }

    /// `None`: somebody wrote in between.
    async fn say(&self, order: usize, document: Value, innocent: bool) -> Option<Decision> {
        let mut fields = match innocent {
            true => json!({ "Ignore": 1 }),
            false => json!({ "AlertLevel": 2 }),
        };
        fields["analyst"] = "me".into();
        let path = format!(
            "{}/_update/{order}?if_seq_no={}&if_primary_term={}",
            self.index(order),
            document["_seq_no"],
            document["_primary_term"]
        );
        let body = json!({ "doc": fields }).to_string();
        let (status, answer, repeated) = self.cluster.ask(Method::Post, &path, body).await;
        let said = match status {
            200 => true,
            // It may be the analyst's own first try that is in the way.
            409 if repeated => self.look(order).await?["_source"]["analyst"] == "me",
            409 => false,
            _ => panic!("{path}: {status} {answer}"),
        };
        let stood = document["_source"]["AlertLevel"].as_u64().unwrap_or(0);
        said.then_some(Decision { innocent, stood })
    }
}

/// What an analyst said of a document, and the level that stood then.
pub(super) struct Decision {
    pub(super) innocent: bool,
    pub(super) stood: u64,
}

/// What the analysts saw and said, by the documents' numbers.
#[derive(Default)]
pub(super) struct Casebook {
    pub(super) decisions: BTreeMap<usize, Decision>,
    /// The edition of a document that was seen last, and its level then.
    levels: BTreeMap<usize, (u64, u64)>,
}

impl Casebook {
    /// Compares with what was seen before.
    ///
    /// # Panics
    /// The level is lower, though nobody wrote the document anew.
    pub(super) fn saw(&mut self, order: usize, source: &Value) {
        let edition = source["edition"].as_u64().unwrap();
        let level = source["AlertLevel"].as_u64().unwrap_or(0);
        if let Some((same, before)) = self.levels.insert(order, (edition, level))
            && same == edition
        {
            assert!(
                level >= before,
                "{order} was lowered from {before}: {source}"
            );
        }
    }
}
