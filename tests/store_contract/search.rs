//! What the contract says of windows, queries, order and counts.

use picket::alert::AlertLevel;
use picket::document::Scope;
use picket::store::{
    Aggregation, NewDocument, Progress, Search, Sort, Sources, Store, StoreErrorKind, Window,
};
use serde_json::json;

use super::{T0, event, get, ids, level, new, verdict};

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

pub(super) async fn windows_hold_one_entity(store: &dyn Store) {
    store.add(vec![
        new("logs", "late", &event(30, "WS5", "whoami")),
        new("logs", "early", &event(10, "ws5", "ver")),
        new("logs", "other", &event(20, "ws6", "ver")),
        new("cmdlogs", "cmd", &json!({"Hostname": "ws5", "Username": "frodo", "command": "net user", "timestamp": "2020-09-13 12:26:55"})),
        new("logs", "after", &event(31, "ws5", "ver")),
        new("elsewhere", "else", &event(20, "ws5", "ver")),
    ]).await.unwrap();
    let doc = get(store, "late").await;
    store
        .apply(&[verdict(&doc, "r", AlertLevel::Alert)])
        .await
        .unwrap();
    store.commit("s", &Progress::default()).await.unwrap();
    let looking = |patterns: &[&str], scope, entity: &str| Window {
        sources: Sources(patterns.iter().map(|p| (*p).to_owned()).collect()),
        scope,
        entity: entity.into(),
        from: T0,
        to: T0 + 30_000,
        fields: Vec::new(),
    };
    let window = |scope, entity: &str| looking(&["log*", "cmdlogs"], scope, entity);
    let host = store.window(&window(Scope::Host, "Ws5")).await.unwrap();
    assert_eq!(ids(&host), ["early", "cmd", "late"]);
    assert_eq!(level(&host[2]), 2, "as it is now");
    let user = store.window(&window(Scope::User, "FRODO")).await.unwrap();
    assert_eq!(ids(&user), ["cmd"]);
    // Findings bear the host and the time too.
    for patterns in [&["*"][..], &["*", "picket-*"]] {
        let window = looking(patterns, Scope::Host, "ws5");
        let all = store.window(&window).await.unwrap();
        assert_eq!(ids(&all), ["early", "cmd", "else", "late"]);
    }
    // Of some fields only: what a module has no use for is not read for it, however long the rest.
    let long = format!("cmd /c {}", "x".repeat(2_000));
    store.add(vec![
        new("logs", "long", &event(12, "ws5", &long)),
        new("logs", "silent", &json!({"@timestamp": "2020-09-13T12:26:51Z", "winlog": {"channel": "Security", "event_id": "4624", "computer_name": "ws5"}})),
    ]).await.unwrap();
    store.commit("s", &Progress::default()).await.unwrap();
    let mut window = window(Scope::Host, "ws5");
    let all = store.window(&window).await.unwrap();
    assert!(ids(&all).contains(&"silent"), "{:?}", ids(&all));
    window.fields = vec!["CommandLine".into(), "ParentImage".into()];
    let commands = store.window(&window).await.unwrap();
    assert_eq!(ids(&commands), ["early", "long", "cmd", "late"]);
    assert!(
        store
            .window(&looking(&["log*"], Scope::User, "nobody"))
            .await
            .unwrap()
            .is_empty()
    );
}

pub(super) async fn queries_find(store: &dyn Store) {
    store.add(vec![
        new("logs", "a", &event(1, "WS5.theshire.local", r"powershell -nop \\WS6\C$\mimikatz.exe sekurlsa::logonpasswords")),
        new("logs", "b", &event(2, "ws6", "net user /add frodo")),
        new("logs", "c", &json!({"EventID": 4624, "Channel": "Security", "timestamp": "2020-09-13T12:30:00Z", "a.b": {"c d": ["one", "two"], "f": {"e": true}}, "Empty": "", "Null": null, "AlertLevel": 2})),
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
        ("a.b.f.e:true", "c"),
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

fn long(end: &str) -> String {
    format!("PowerShell {}{end}", "ÄB ".repeat(500))
}

async fn store_long_values(store: &dyn Store) {
    let documents = [
        (
            "a",
            json!({"x": long("One-Tail"), "path": [long("1"), "Short"]}),
        ),
        ("b", json!({"x": long("two-tail")})),
        (
            "c",
            json!({"x": long("TWO-tail"), "other": long("one-tail")}),
        ),
        ("d", json!({"x": format!("1.{}", "0".repeat(300))})),
        ("e", json!({"x": "ab ".repeat(50)})),
    ];
    let documents = documents.map(|(id, source)| new("logs", id, &source));
    store.add(documents.into()).await.unwrap();
}

/// However long values are, what has one is found, if perhaps among others.
pub(super) async fn long_values_are_found(store: &dyn Store) {
    store_long_values(store).await;
    for (query, expected) in [
        (format!("x:\"{}\"", long("one-tail")), "a"),
        (format!("x:\"{}\"", long("two-tail").to_lowercase()), "b c"),
        ("x:*two-tail".to_owned(), "b c"),
        ("x:*one?tail".to_owned(), "a"),
        ("x:powershell*".to_owned(), "a b c"),
        ("x:powershell*one*".to_owned(), "a"),
        (format!("x:{}*", long("TWO").replace(' ', "?")), "b c"),
        ("x:*".to_owned(), "a b c d e"),
        ("path:s*".to_owned(), "a"),
        ("NOT x:ab*".to_owned(), "a b c d"),
    ] {
        let found = found(store, &query).await;
        for id in expected.split_whitespace() {
            assert!(found.iter().any(|f| f == id), "{id} {query} {found:?}");
        }
    }
}

/// However long values are, and wherever they differ.
pub(super) async fn long_values_are_compared_whole(store: &dyn Store) {
    store_long_values(store).await;
    let long = |end: &str| long(end).to_lowercase();
    for (query, expected) in [
        (format!("x:\"{}\"", long("one-tail")), "a"),
        (format!("x:\"{}\"", long("two-tail")), "b c"),
        (format!("x:\"{}\"", long("two-tai")), ""),
        (format!("x:\"{}\"", long("")), ""),
        ("x:*two-tail".to_owned(), "b c"),
        ("x:*two-tai".to_owned(), ""),
        ("x:*one?tail".to_owned(), "a"),
        ("x:powershell*".to_owned(), "a b c"),
        ("x:powershell*one*".to_owned(), "a"),
        ("x:powershell".to_owned(), ""),
        (format!("x:{}*", long("TWO").replace(' ', "?")), "b c"),
        ("*e-tail".to_owned(), "a c"),
        ("*e-tai".to_owned(), "a c"),
        ("NOT x:*two-tail".to_owned(), "a d e"),
        ("x:*".to_owned(), "a b c d e"),
        ("path:*1".to_owned(), "a"),
        ("path:s*".to_owned(), "a"),
        (format!("x:{{\"{}\" TO *]", long("one-tail")), "b c"),
        (format!("x:[* TO \"{}\"]", long("one-tail")), "a d e"),
        ("x:[1 TO 2]".to_owned(), "d"),
        ("x:>2020-01-01".to_owned(), ""),
    ] {
        assert_eq!(found(store, &query).await.join(" "), expected, "{query}");
    }
    let search = Search {
        sources: Some(Sources::all()),
        aggregations: vec![Aggregation::Terms {
            field: "x".into(),
            size: 2,
        }],
        ..Search::default()
    };
    let found = store.find(&search).await.unwrap();
    let counts: Vec<_> = found.buckets[0].iter().map(|bucket| bucket.1).collect();
    assert_eq!(counts, [2, 1]);
    assert_eq!(found.buckets[0][0].0.to_lowercase(), long("two-tail"));
}

/// Long keys over many values would make terms a thousand times as long as the document.
pub(super) async fn documents_cannot_swell(store: &dyn Store) {
    let (key, values) = ("k".repeat(1000), vec!["v"; 5000]);
    let swelling = json!({ "a": "first", key: values, "z": "last" });
    store.add(vec![new("logs", "s", &swelling)]).await.unwrap();
    assert_eq!(found(store, "a:first").await, ["s"]);
    assert!(
        found(store, "z:last").await.is_empty(),
        "kept, not searched"
    );
    assert_eq!(&*get(store, "s").await.source, swelling.to_string());
}

pub(super) async fn lists_hold_anything(store: &dyn Store) {
    let list = json!({"a.b": {"c d": [1, "two", {"e": true}]}});
    store.add(vec![new("logs", "c", &list)]).await.unwrap();
    assert_eq!(found(store, r"a.b.c\ d:two").await, ["c"]);
    assert_eq!(found(store, r"a.b.c\ d.e:true").await, ["c"]);
}

pub(super) async fn searches_sort_page_and_count(store: &dyn Store) {
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
