//! What the contract says of the hits of correlations.

use picket::detect::correlate::{Hit, Part};
use picket::document::DocumentId;
use picket::store::{Checkpoint, GroupSpan, HITS_INDEX, Search, Sources, Store};

use super::{T0, event, feed, new};

const DAY: i64 = 86_400_000;

pub(crate) fn hit(group: &str, second: i64, document: &str) -> Hit {
    Hit {
        time: T0 + second * 1000,
        document: DocumentId {
            index: "logs".into(),
            id: document.into(),
        },
        part: Part {
            group: group.into(),
            member: 0,
            common: vec!["ann".into()],
            value: Some("x\"y".into()),
            outer: vec![(
                "key".into(),
                Part {
                    group: "outer".into(),
                    member: 1,
                    common: Vec::new(),
                    value: None,
                    outer: Vec::new(),
                },
            )],
        },
    }
}

pub(crate) fn span(group: &str, from: i64, to: i64) -> GroupSpan {
    GroupSpan {
        group: group.into(),
        from: T0 + from * 1000,
        to: T0 + to * 1000,
    }
}

async fn of(store: &dyn Store, groups: &[GroupSpan]) -> Vec<Vec<Hit>> {
    let mut all = store.hits(groups).await.unwrap();
    for hits in &mut all {
        hits.sort_by_key(Hit::id);
        hits.sort_by_key(|hit| hit.time);
    }
    all
}

pub(super) async fn hits_are_kept_once_and_found_by_group_and_time(store: &dyn Store) {
    assert_eq!(of(store, &[span("a", 0, 9)]).await, [Vec::new()]);
    let first = [hit("a", 1, "d1"), hit("a", 2, "d2"), hit("b", 1, "d1")];
    store.keep_hits(&first, T0).await.unwrap();
    store
        .keep_hits(&[hit("a", 2, "d2"), hit("a", 3, "d3")], T0 + 2 * DAY)
        .await
        .unwrap();
    store.keep_hits(&[], T0).await.unwrap();
    let asked = [
        span("a", 0, 9),
        span("c", 0, 9),
        span("a", 2, 2),
        span("b", 1, 9),
    ];
    assert_eq!(
        of(store, &asked).await,
        [
            vec![hit("a", 1, "d1"), hit("a", 2, "d2"), hit("a", 3, "d3")],
            Vec::new(),
            vec![hit("a", 2, "d2")],
            vec![hit("b", 1, "d1")],
        ]
    );
    // More than is read at once, all at one time.
    let many: Vec<Hit> = (0..2_500)
        .map(|n| hit("many", 5, &format!("d{n}")))
        .collect();
    store.keep_hits(&many, T0 + 2 * DAY).await.unwrap();
    let found = of(store, &[span("many", 0, 9), span("b", 0, 9)]).await;
    assert_eq!((found[0].len(), found[1].len()), (2_500, 1));
    store.forget_hits(T0 + 2 * DAY).await.unwrap();
    // A store may forget by and by.
    for n in 0..50 {
        // Of a store that shows what is gone only with the next write.
        store
            .keep_hits(&[hit("c", n, "d5")], T0 + 2 * DAY)
            .await
            .unwrap();
        if of(store, &[span("a", 0, 9)]).await[0].len() == 1 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let left = of(
        store,
        &[span("a", 0, 9), span("b", 0, 9), span("many", 0, 9)],
    )
    .await;
    assert_eq!(left[0], [hit("a", 3, "d3")]);
    assert_eq!((left[1].len(), left[2].len()), (0, 2_500));
}

pub(super) async fn hits_are_nobody_elses(store: &dyn Store) {
    store
        .add(vec![new("logs", "d1", &event(1, "ws5", "ver"))])
        .await
        .unwrap();
    store.keep_hits(&[hit("a", 1, "d1")], T0).await.unwrap();
    let (documents, _) = feed(store, &Checkpoint::default(), 10).await;
    assert_eq!(documents.len(), 1);
    for sources in [None, Some(Sources::all())] {
        let search = Search {
            sources,
            limit: 10,
            ..Search::default()
        };
        let found = store.find(&search).await.unwrap();
        let of_ours = found
            .documents
            .iter()
            .filter(|d| *d.id.index == *HITS_INDEX);
        assert_eq!((found.total, of_ours.count()), (1, 0));
    }
}
