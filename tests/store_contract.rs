//! The contract of every [`Store`]: the same suite for each implementation. A new store is one more
//! test that hands its factory to [`contract`].

use std::sync::Arc;

use picket::alert::{AlertLevel, Level};
use picket::document::{Document, DocumentId, Scope};
use picket::finding::{Finding, Verdict};
use picket::store::embedded::Embedded;
use picket::store::{
    Aggregation, Checkpoint, FINDINGS_INDEX, NewDocument, Outcome, Page, Progress, Search, Sort,
    Sources, Store, StoreErrorKind, Window,
};
use serde_json::{Map, Value, json};

const T0: i64 = 1_600_000_000_000;

pub(crate) fn new(index: &str, id: &str, source: &Value) -> NewDocument {
    NewDocument {
        index: index.into(),
        id: Some(id.into()),
        source: source.to_string().into(),
    }
}

/// An event of Sysmon as Winlogbeat writes it, so many seconds after [`T0`].
fn event(second: i64, host: &str, command: &str) -> Value {
    let time = chrono::DateTime::from_timestamp_millis(T0 + second * 1000).unwrap();
    json!({
        "@timestamp": time.to_rfc3339(),
        "winlog": {
            "channel": "Microsoft-Windows-Sysmon/Operational",
            "event_id": "1",
            "computer_name": host,
            "event_data": {
                "Image": format!("C:\\Windows\\System32\\{}.exe", command.split(' ').next().unwrap()),
                "CommandLine": command,
                "User": "THESHIRE\\pgustavo",
                "ProcessId": second.to_string(),
            },
        },
        "Number": second,
    })
}

fn finding(rule: &str, level: AlertLevel) -> Finding {
    Finding {
        detector: "sigma".into(),
        rule_id: rule.into(),
        rule: format!("Title of {rule}").into(),
        level: Level::High,
        alert_level: level,
        techniques: vec!["T1021.002".to_owned()].into(),
        score: None,
        evidence: Vec::new(),
        second_opinion: None,
    }
}

/// A verdict that raises the document to that level.
pub(crate) fn verdict(document: &Document, rule: &str, level: AlertLevel) -> Verdict {
    let mut verdict = Verdict {
        document: document.id.clone(),
        version: document.version,
        alert_level: level,
        patch: None,
        judged: "digest".into(),
        whole: true,
        at: 1,
        time: Some(T0),
        host: Some("WS5".into()),
        user: None,
        record_id: None,
        findings: vec![finding(rule, level)],
    };
    if level > AlertLevel::None {
        let patch =
            json!({"AlertLevel": u8::from(level), "picket": {"judged": "digest", "rules": [rule]}});
        verdict.patch = patch.as_object().cloned();
    }
    verdict
}

fn patch(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
}

/// The whole feed from there on, in pages of that size.
pub(crate) async fn feed(
    store: &dyn Store,
    since: &Checkpoint,
    limit: usize,
) -> (Vec<Document>, Checkpoint) {
    let mut documents = Vec::new();
    let mut at = since.clone();
    loop {
        let Page {
            documents: page,
            next,
        } = store.changes(&Sources::all(), &at, limit).await.unwrap();
        assert!(page.len() <= limit);
        documents.extend(page);
        if next == at {
            return (documents, at);
        }
        at = next;
    }
}

fn ids(documents: &[Document]) -> Vec<&str> {
    documents.iter().map(|d| &*d.id.id).collect()
}

pub(crate) async fn get(store: &dyn Store, id: &str) -> Document {
    let (documents, _) = feed(store, &Checkpoint::default(), 1000).await;
    documents.into_iter().find(|d| &*d.id.id == id).unwrap()
}

fn level(document: &Document) -> Value {
    serde_json::from_str::<Value>(&document.source).unwrap()["AlertLevel"].clone()
}

async fn found(store: &dyn Store, query: &str) -> Vec<String> {
    let search = Search {
        sources: Some(Sources::all()),
        query: query.into(),
        sort: Sort::OldestFirst,
        limit: 100,
        ..Search::default()
    };
    let found = store
        .find(&search)
        .await
        .unwrap_or_else(|e| panic!("{query}: {e}"));
    assert_eq!(found.total, found.documents.len() as u64, "{query}");
    found
        .documents
        .iter()
        .map(|d| d.id.id.to_string())
        .collect()
}

async fn findings(store: &dyn Store) -> Vec<Value> {
    let search = Search {
        sources: Some(Sources(vec![FINDINGS_INDEX.into()])),
        limit: 100,
        ..Search::default()
    };
    let found = store.find(&search).await.unwrap();
    found
        .documents
        .iter()
        .map(|d| serde_json::from_str(&d.source).unwrap())
        .collect()
}

/// Runs the suite; `fresh` makes an empty store each time.
pub(crate) async fn contract(fresh: &dyn Fn() -> Arc<dyn Store>) {
    the_feed_yields_every_write_once(&*fresh()).await;
    the_last_of_an_id_wins(&*fresh()).await;
    the_same_file_twice_changes_nothing(&*fresh()).await;
    what_cannot_be_stored_is_refused(&*fresh()).await;
    verdicts_are_conditional(&*fresh()).await;
    verdicts_never_lower(&*fresh()).await;
    repeating_verdicts_changes_nothing(&*fresh()).await;
    windows_add_to_what_was_found(&*fresh()).await;
    edits_are_conditional(&*fresh()).await;
    sweeps_keep_their_own_progress(&*fresh()).await;
    windows_hold_one_entity(&*fresh()).await;
    queries_find(&*fresh()).await;
    searches_sort_page_and_count(&*fresh()).await;
}

async fn the_feed_yields_every_write_once(store: &dyn Store) {
    let docs = |range: std::ops::Range<i64>| -> Vec<NewDocument> {
        range
            .map(|i| new("logs-a", &format!("d{i:03}"), &event(i, "ws5", "whoami")))
            .collect()
    };
    let (nothing, start) = feed(store, &Checkpoint::default(), 10).await;
    assert!(nothing.is_empty());
    store.add(docs(0..25)).await.unwrap();
    store
        .add(vec![new("other", "x", &event(0, "ws5", "ver"))])
        .await
        .unwrap();
    let (all, at) = feed(store, &start, 10).await;
    assert_eq!(all.len(), 26);
    assert!(
        all.windows(2)
            .all(|w| w[0].version.seq_no < w[1].version.seq_no)
    );
    let only = Sources(vec!["logs-*".into()]);
    let page = store.changes(&only, &start, 1000).await.unwrap();
    assert_eq!(page.documents.len(), 25);
    assert_eq!(
        page.next, at,
        "other indices' writes move the checkpoint too"
    );
    store.add(docs(3..5)).await.unwrap();
    let (again, at) = feed(store, &at, 10).await;
    assert_eq!(ids(&again), ["d003", "d004"]);
    let waiting = store.waiting(&only, &start).await.unwrap();
    assert_eq!(
        (waiting.documents, waiting.waiting, waiting.oldest),
        (25, 25, Some(T0))
    );
    let waiting = store.waiting(&only, &at).await.unwrap();
    assert_eq!(
        (waiting.documents, waiting.waiting, waiting.oldest),
        (25, 0, None)
    );
}

async fn the_last_of_an_id_wins(store: &dyn Store) {
    let add = |text: &str| new("logs", "same", &json!({ "a": text }));
    store.add(vec![add("one"), add("two")]).await.unwrap();
    assert_eq!(&*get(store, "same").await.source, r#"{"a":"two"}"#);
    store
        .add(vec![add("three"), new("logs-2", "same", &json!({"a": 4}))])
        .await
        .unwrap();
    let (all, _) = feed(store, &Checkpoint::default(), 10).await;
    let sources: Vec<&str> = all.iter().map(|d| &*d.source).collect();
    assert_eq!(sources, [r#"{"a":"three"}"#, r#"{"a":4}"#]);
}

async fn the_same_file_twice_changes_nothing(store: &dyn Store) {
    let file = || -> Vec<NewDocument> {
        let line = |i: i64| NewDocument {
            id: None,
            ..new("logs", "", &event(i, "ws5", "whoami"))
        };
        (0..5).map(line).collect()
    };
    store.add(file()).await.unwrap();
    let (first, at) = feed(store, &Checkpoint::default(), 10).await;
    let outcome = store
        .apply(&[verdict(&first[0], "r", AlertLevel::Alert)])
        .await
        .unwrap();
    assert_eq!(outcome, [Outcome::Written]);
    store.add(file()).await.unwrap();
    let (again, _) = feed(store, &at, 10).await;
    assert_eq!(again.len(), 1, "only the verdict came");
    assert_eq!(level(&again[0]), 2);
}

async fn what_cannot_be_stored_is_refused(store: &dyn Store) {
    let source = |source: &str| NewDocument {
        source: source.into(),
        ..new("logs", "b", &json!({}))
    };
    let good = || new("logs", "good", &json!({"a": 1}));
    for bad in [
        source("[1]"),
        source("{\"a\":"),
        source("{} {}"),
        source(""),
        new("", "x", &json!({})),
        new("logs", &"x".repeat(600), &json!({})),
    ] {
        let error = store.add(vec![good(), bad]).await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::BadRequest, "{error}");
    }
    let (all, _) = feed(store, &Checkpoint::default(), 10).await;
    assert!(all.is_empty(), "nothing of a refused write is there");
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(
        store.add(vec![source(&deep)]).await.unwrap_err().kind,
        StoreErrorKind::BadRequest
    );
    // Long and odd documents are kept as they are.
    let odd = r#"{"CommandLine":"\ud800 lone","AlertLevel":"1","a":1e400}"#;
    let long =
        json!({"CommandLine": "é".repeat(100_000), "k\u{0}y": "\u{0}", "": {"": ""}}).to_string();
    store
        .add(vec![
            source(odd),
            NewDocument {
                id: Some("c".into()),
                ..source(&long)
            },
        ])
        .await
        .unwrap();
    assert_eq!(&*get(store, "b").await.source, odd);
    assert_eq!(&*get(store, "c").await.source, long);
    let outcome = store
        .apply(&[verdict(&get(store, "b").await, "r", AlertLevel::Alert)])
        .await
        .unwrap();
    assert_eq!(outcome, [Outcome::Written]);
}

async fn verdicts_are_conditional(store: &dyn Store) {
    store
        .add(
            (0..3)
                .map(|i| new("logs", &format!("d{i}"), &event(i, "ws5", "ver")))
                .collect(),
        )
        .await
        .unwrap();
    let (docs, at) = feed(store, &Checkpoint::default(), 10).await;
    store
        .add(vec![new("logs", "d1", &event(9, "ws5", "ver"))])
        .await
        .unwrap();
    let gone = Document {
        id: DocumentId {
            index: "logs".into(),
            id: "gone".into(),
        },
        ..docs[0].clone()
    };
    let verdicts = [
        verdict(&docs[0], "high", AlertLevel::Suspicious),
        verdict(&docs[1], "stale", AlertLevel::Alert),
        verdict(&docs[2], "low", AlertLevel::None),
        verdict(&gone, "gone", AlertLevel::Alert),
    ];
    let outcomes = store.apply(&verdicts).await.unwrap();
    assert!(
        matches!(
            &outcomes[..],
            [
                Outcome::Written,
                Outcome::Conflict,
                Outcome::Kept,
                Outcome::Rejected(_)
            ]
        ),
        "{outcomes:?}"
    );
    store.commit("s", &Progress::default()).await.unwrap();
    let (new, _) = feed(store, &at, 10).await;
    assert_eq!(
        ids(&new),
        ["d1", "d0"],
        "what was written comes again, what was kept does not"
    );
    let source: Value = serde_json::from_str(&new[1].source).unwrap();
    assert_eq!(
        (&source["AlertLevel"], &source["picket"]["rules"][0]),
        (&json!(1), &json!("high"))
    );
    assert!(
        new[1].source.starts_with("{\"@timestamp\""),
        "the rest stays as it was"
    );
    let mut rules: Vec<String> = findings(store)
        .await
        .iter()
        .map(|f| f["findings"][0]["rule_id"].as_str().unwrap().into())
        .collect();
    rules.sort();
    assert_eq!(rules, ["high", "low"]);
}

async fn verdicts_never_lower(store: &dyn Store) {
    store
        .add(vec![
            new("logs", "two", &json!({"AlertLevel": 2, "a": 1})),
            new("logs", "ignored", &json!({"AlertLevel": 0, "Ignore": 1})),
        ])
        .await
        .unwrap();
    let (docs, _) = feed(store, &Checkpoint::default(), 10).await;
    let verdicts: Vec<Verdict> = docs
        .iter()
        .map(|d| verdict(d, "r", AlertLevel::Suspicious))
        .collect();
    let outcomes = store.apply(&verdicts).await.unwrap();
    assert_eq!(outcomes[1], Outcome::Kept);
    store.commit("s", &Progress::default()).await.unwrap();
    assert_eq!(level(&get(store, "two").await), 2);
    assert_eq!(
        &*get(store, "ignored").await.source,
        r#"{"AlertLevel":0,"Ignore":1}"#
    );
}

async fn repeating_verdicts_changes_nothing(store: &dyn Store) {
    store
        .add(vec![
            new("logs", "a", &json!({"x": 1})),
            new("logs", "b", &json!({"x": 2})),
        ])
        .await
        .unwrap();
    let (docs, _) = feed(store, &Checkpoint::default(), 10).await;
    let mut verdicts = [
        verdict(&docs[0], "r", AlertLevel::Alert),
        verdict(&docs[1], "r", AlertLevel::None),
    ];
    store.apply(&verdicts).await.unwrap();
    store.commit("s", &Progress::default()).await.unwrap();
    let all = Search {
        limit: 100,
        ..Search::default()
    };
    let before = store.find(&all).await.unwrap().documents;
    assert_eq!(before.len(), 4);
    verdicts.iter_mut().for_each(|v| v.at += 1000);
    let outcomes = store.apply(&verdicts).await.unwrap();
    assert_eq!(outcomes, [Outcome::Conflict, Outcome::Kept]);
    store.commit("s", &Progress::default()).await.unwrap();
    assert_eq!(store.find(&all).await.unwrap().documents, before);
}

async fn windows_add_to_what_was_found(store: &dyn Store) {
    store
        .add(vec![new("logs", "a", &json!({"x": 1}))])
        .await
        .unwrap();
    let doc = get(store, "a").await;
    store
        .apply(&[verdict(&doc, "one", AlertLevel::None)])
        .await
        .unwrap();
    let mut more = verdict(&doc, "two", AlertLevel::Suspicious);
    more.patch = None;
    more.whole = false;
    store.apply(std::slice::from_ref(&more)).await.unwrap();
    store.commit("s", &Progress::default()).await.unwrap();
    let rules = |f: &Value| {
        f["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|f| f["rule_id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let kept = findings(store).await;
    assert_eq!(kept.len(), 1);
    assert_eq!(rules(&kept[0]), ["two", "one"], "gravest first");
    assert_eq!(kept[0]["AlertLevel"], 1);
    assert_eq!(kept[0]["techniques"], json!(["T1021.002"]));
    assert_eq!(kept[0]["document"], json!({"index": "logs", "id": "a"}));
    more.whole = true;
    store.apply(&[more]).await.unwrap();
    store.commit("s", &Progress::default()).await.unwrap();
    assert_eq!(rules(&findings(store).await[0]), ["two"]);
}

async fn edits_are_conditional(store: &dyn Store) {
    store
        .add(vec![new("logs", "a", &json!({"AlertLevel": 2, "b": "x"}))])
        .await
        .unwrap();
    let doc = get(store, "a").await;
    let mine = patch(json!({"AlertLevel": 0, "Ignore": 1}));
    assert!(
        store.edit(&doc.id, doc.version, &mine).await.unwrap(),
        "a person may lower"
    );
    assert!(
        !store.edit(&doc.id, doc.version, &mine).await.unwrap(),
        "the version has gone by"
    );
    let now = get(store, "a").await;
    assert_eq!(&*now.source, r#"{"AlertLevel":0,"b":"x","Ignore":1}"#);
    let gone = DocumentId {
        index: "logs".into(),
        id: "gone".into(),
    };
    assert!(!store.edit(&gone, now.version, &mine).await.unwrap());
    let late = verdict(&now, "r", AlertLevel::Alert);
    assert_eq!(store.apply(&[late]).await.unwrap(), [Outcome::Kept]);
}

async fn sweeps_keep_their_own_progress(store: &dyn Store) {
    assert_eq!(store.progress("a").await.unwrap(), Progress::default());
    let progress = |seq| Progress {
        at: Checkpoint([(String::new(), seq)].into()),
        report: Some(json!({ "judged": seq })),
    };
    store.commit("a", &progress(1)).await.unwrap();
    store.commit("b", &progress(2)).await.unwrap();
    store.commit("a", &progress(3)).await.unwrap();
    assert_eq!(store.progress("a").await.unwrap(), progress(3));
    assert_eq!(store.progress("b").await.unwrap(), progress(2));
}

async fn windows_hold_one_entity(store: &dyn Store) {
    store.add(vec![
        new("logs", "late", &event(30, "WS5", "whoami")),
        new("logs", "early", &event(10, "ws5", "ver")),
        new("logs", "other", &event(20, "ws6", "ver")),
        new("cmdlogs", "cmd", &json!({"Hostname": "ws5", "Username": "frodo", "command": "net user", "timestamp": "2020-09-13 12:26:55"})),
        new("logs", "after", &event(31, "ws5", "ver")),
    ]).await.unwrap();
    let doc = get(store, "late").await;
    store
        .apply(&[verdict(&doc, "r", AlertLevel::Alert)])
        .await
        .unwrap();
    store.commit("s", &Progress::default()).await.unwrap();
    let window = |scope, entity: &str| Window {
        scope,
        entity: entity.into(),
        from: T0,
        to: T0 + 30_000,
    };
    let host = store.window(&window(Scope::Host, "Ws5")).await.unwrap();
    assert_eq!(ids(&host), ["early", "cmd", "late"]);
    assert_eq!(level(&host[2]), 2, "as it is now");
    let user = store.window(&window(Scope::User, "FRODO")).await.unwrap();
    assert_eq!(ids(&user), ["cmd"]);
    assert!(
        store
            .window(&window(Scope::User, "nobody"))
            .await
            .unwrap()
            .is_empty()
    );
}

async fn queries_find(store: &dyn Store) {
    store.add(vec![
        new("logs", "a", &event(1, "WS5.theshire.local", r"powershell -nop \\WS6\C$\mimikatz.exe sekurlsa::logonpasswords")),
        new("logs", "b", &event(2, "ws6", "net user /add frodo")),
        new("logs", "c", &json!({"EventID": 4624, "Channel": "Security", "timestamp": "2020-09-13T12:30:00Z", "a.b": {"c d": [1, "two", {"e": true}]}, "Empty": "", "Null": null, "AlertLevel": 2})),
        new("cmdlogs", "d", &json!({"Hostname": "ws7", "Username": "sam", "command": "whoami /all", "timestamp": "2020-09-13 13:00:00", "AlertLevel": 0})),
    ]).await.unwrap();
    for (query, expected) in [
        ("", "a b c d"),
        ("*", "a b c d"),
        ("mimikatz", "a"),
        ("MIMIKATZ.exe", "a"),
        ("\"mimikatz exe\"", "a"),
        ("\"exe mimikatz\"", ""),
        ("sekurlsa::logonpasswords", "a"),
        ("net user", "b"),
        ("mimi*", "a"),
        ("w?oami", "d"),
        (r"*\\mimikatz*", "a"),
        ("user OR whoami", "b d"),
        ("user AND NOT frodo", ""),
        ("(mimikatz OR frodo) -net", "a"),
        ("CommandLine:*mimikatz*", "a"),
        ("commandline:\"NET USER /add frodo\"", "b"),
        ("CommandLine:whoami*", "d"),
        ("command:*", "d"),
        ("winlog.event_data.CommandLine:net*", "b"),
        (r"Image:C:\Windows\System32\net.exe", "b"),
        (r"Image:*\\powershell.exe", "a"),
        ("host:ws6", "b"),
        ("Computer:ws5*", "a"),
        ("user:sam", "d"),
        (r"User:theshire\pgustavo", "a b"),
        ("index:cmdlogs", "d"),
        ("EventID:4624", "c"),
        ("EventID:1", "a b"),
        ("EventID:(1 OR 4624)", "a b c"),
        ("EventID:[1 TO 4000]", "a b"),
        ("EventID:>1", "c"),
        ("ProcessId:{1 TO 2]", "b"),
        ("Number:>=2", "b"),
        ("AlertLevel:2", "c"),
        ("AlertLevel:>0", "c"),
        ("AlertLevel:*", "c d"),
        (r"a.b.c\ d:two", "c"),
        (r"a.b.c\ d.e:true", "c"),
        ("Empty:*", "c"),
        ("Empty:\"\"", "c"),
        ("Null:*", ""),
        ("nosuchfield:*", ""),
        ("time:>2020-09-13T12:26:41Z", "b c d"),
        (
            "time:[\"2020-09-13 12:30\" TO \"2020-09-13 13:00:00\"]",
            "c d",
        ),
        ("timestamp:[2020-09-13T12:00:00Z TO 2020-09-14]", "c d"),
    ] {
        assert_eq!(found(store, query).await.join(" "), expected, "{query}");
    }
    for query in [
        "(a",
        "a)",
        "f:[1 2]",
        "\"a",
        "time:yesterday",
        &"(".repeat(1000),
    ] {
        let search = Search {
            query: query.into(),
            ..Search::default()
        };
        let error = store.find(&search).await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::BadRequest, "{query}: {error}");
    }
}

async fn searches_sort_page_and_count(store: &dyn Store) {
    let mut docs: Vec<NewDocument> = (0..20)
        .map(|i| {
            new(
                "logs",
                &format!("d{i:02}"),
                &event(i / 2 * 60, if i < 5 { "WS5" } else { "ws6" }, "ver"),
            )
        })
        .collect();
    docs.push(new("logs", "timeless", &json!({"a": 1})));
    store.add(docs).await.unwrap();
    let search = |sort, offset, limit| Search {
        sort,
        offset,
        limit,
        sources: Some(Sources::all()),
        ..Search::default()
    };
    let page = store.find(&search(Sort::OldestFirst, 1, 3)).await.unwrap();
    assert_eq!(
        (page.total, ids(&page.documents)),
        (21, vec!["d01", "d02", "d03"])
    );
    let page = store.find(&search(Sort::NewestFirst, 0, 3)).await.unwrap();
    assert_eq!(ids(&page.documents), ["d19", "d18", "d17"]);
    let page = store.find(&search(Sort::NewestFirst, 20, 9)).await.unwrap();
    assert_eq!(ids(&page.documents), ["timeless"]);
    let counts = Search {
        from: Some(T0),
        to: Some(T0 + 180_000),
        aggregations: vec![
            Aggregation::DateHistogram(120_000),
            Aggregation::Terms {
                field: "host".into(),
                size: 10,
            },
            Aggregation::Terms {
                field: "Image".into(),
                size: 1,
            },
            Aggregation::Terms {
                field: "EventID".into(),
                size: 0,
            },
        ],
        ..search(Sort::NewestFirst, 0, 0)
    };
    let found = store.find(&counts).await.unwrap();
    assert_eq!((found.total, found.documents.len()), (8, 0));
    let bucket = |key: &str, count| (key.to_owned(), count);
    assert_eq!(
        found.buckets[0],
        [bucket("1599999960000", 4), bucket("1600000080000", 4)]
    );
    assert_eq!(found.buckets[1], [bucket("WS5", 5), bucket("ws6", 3)]);
    assert_eq!(
        found.buckets[2],
        [bucket(r"C:\Windows\System32\ver.exe", 8)]
    );
    assert!(found.buckets[3].is_empty());
    for bad in [
        search(Sort::NewestFirst, 10_000, 1),
        Search {
            aggregations: vec![Aggregation::DateHistogram(0)],
            ..Search::default()
        },
    ] {
        assert_eq!(
            store.find(&bad).await.unwrap_err().kind,
            StoreErrorKind::BadRequest
        );
    }
}

#[tokio::test]
async fn the_store_in_ram_keeps_the_contract() {
    contract(&|| Arc::new(Embedded::in_memory().unwrap())).await;
}

#[tokio::test]
async fn the_store_in_a_folder_keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    let number = std::cell::Cell::new(0);
    contract(&|| {
        number.set(number.get() + 1);
        Arc::new(Embedded::open(&dir.path().join(number.get().to_string())).unwrap())
    })
    .await;
}
