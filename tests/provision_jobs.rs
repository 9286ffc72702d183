//! Anomaly jobs and detectors are planned, made, changed in place, started, stopped and taken away,
//! on a stand-in for the learning of a cluster.

mod cluster;

use std::collections::BTreeSet;
use std::path::PathBuf;

use picket::provision::{
    Action, Desk, Kind, Outcome, Part, Plan, Provision, Span, Step, job_files,
};
use picket::store::Sources;
use picket::store::elastic::{Connection, Elastic};
use serde_json::{Value, json};

use crate::provision_kibana::stand_in::StandIn;
use cluster::Learning;

fn jobs(elastic: &Elastic) -> Provision<'_> {
    let sources = Sources(vec!["winlogbeat-*".into()]);
    Provision::new(elastic, sources, BTreeSet::from([Part::Ml]))
}

async fn apply(provision: &Provision<'_>) -> Plan {
    let mut plan = provision.plan().await.unwrap();
    provision.apply(&mut plan).await.unwrap();
    for step in plan.steps.iter().filter(|step| step.acts()) {
        assert_eq!(
            step.outcome,
            Some(Outcome::Done),
            "{} {}",
            step.kind.name(),
            step.name
        );
    }
    plan
}

fn all_well(plan: &Plan) {
    for step in &plan.steps {
        let (kind, name) = (step.kind.name(), &step.name);
        assert!(!step.failed(), "{kind} {name}: {:?}", step.outcome);
    }
}

#[test]
fn the_files_that_people_import_are_what_the_code_makes() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("kibana_objects/ml");
    let made = job_files();
    if std::env::var_os("PICKET_WRITE_DASHBOARDS").is_some() {
        std::fs::create_dir_all(&folder).unwrap();
        for (name, text) in &made {
            std::fs::write(folder.join(name), text).unwrap();
        }
    }
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), made.len());
    for (name, text) in &made {
        let there = std::fs::read_to_string(folder.join(name)).unwrap();
        assert!(
            there == *text,
            "{name} is not what the code makes; PICKET_WRITE_DASHBOARDS=1 writes it"
        );
        let jobs: Value = serde_json::from_str(text).unwrap();
        for item in jobs.as_array().unwrap() {
            assert_eq!(item["job"]["job_id"], item["datafeed"]["job_id"]);
            // Kibana's own reading is stricter than Elasticsearch's.
            assert!(item["job"]["analysis_config"]["influencers"].is_array());
            assert!(item["job"]["analysis_limits"]["model_memory_limit"].is_string());
        }
    }
}

#[tokio::test]
async fn a_licence_that_does_not_do_is_said_in_one_sentence() {
    let server = Learning::new("basic", false);
    let elastic = Elastic::open(&server.connection).await.unwrap();
    let plan = apply(&jobs(&elastic)).await;
    assert_eq!((plan.steps.len(), plan.count(Action::Skipped)), (1, 1));
    let why = plan.steps[0].why.as_deref().unwrap();
    for word in ["Platinum", "basic", "start_trial"] {
        assert!(why.contains(word), "{why}");
    }
    assert_eq!(server.inside.lock().unwrap().asked, [""; 0]);
}

#[tokio::test]
async fn jobs_are_made_once_started_in_order_and_taken_away_when_somebody_agrees() {
    let server = Learning::new("trial", false);
    let kibana = StandIn::new("9.3.0");
    let reached = Connection {
        urls: vec![kibana.url.clone()],
        ..server.connection.clone()
    };
    let desk = Desk::connect(&reached, None).await.unwrap();
    let elastic = Elastic::open(&server.connection).await.unwrap();
    let provision = jobs(&elastic).showing(Some(&desk));
    let first = apply(&provision).await;
    let count = |plan: &Plan, kind: Kind| plan.steps.iter().filter(|s| s.kind == kind).count();
    assert_eq!(
        (count(&first, Kind::Job), count(&first, Kind::Datafeed)),
        (9, 9)
    );
    assert_eq!(
        (
            count(&first, Kind::Transform),
            count(&first, Kind::Outliers)
        ),
        (1, 1)
    );
    let asked = kibana.inside.lock().unwrap().asked.clone();
    let told = |path: &String| path.ends_with("ml/saved_objects/sync");
    assert!(asked.iter().any(told), "{asked:?}");
    let again = apply(&provision).await;
    assert_eq!(again.count(Action::Unchanged), again.steps.len());

    let mut plan = provision.switching(true).await.unwrap();
    provision.switch(&mut plan, Some(86_400_000)).await.unwrap();
    all_well(&plan);
    let asked = server.inside.lock().unwrap().asked.clone();
    let feed = "_ml/datafeeds/datafeed-picket-winlogbeat-event-rate/_start start=86400000";
    assert!(asked.contains(&format!("POST {feed}")), "{asked:?}");
    // Twice is no harm.
    let mut plan = provision.switching(true).await.unwrap();
    provision.switch(&mut plan, None).await.unwrap();
    all_well(&plan);
    let mut plan = provision.switching(false).await.unwrap();
    provision.switch(&mut plan, None).await.unwrap();
    all_well(&plan);
    assert!(server.inside.lock().unwrap().running.is_empty());

    // Both spans stand beside each other.
    let seconds = jobs(&elastic).spanning(Span::Seconds);
    let fast = apply(&seconds).await;
    assert_eq!(fast.count(Action::Create), 18);

    let mut removal = provision.removal().await.unwrap();
    let asks = removal.count(Action::Conflict);
    assert_eq!(asks, 36, "what jobs found is somebody's");
    provision.apply(&mut removal).await.unwrap();
    assert_eq!(server.inside.lock().unwrap().things.len(), 36);
    let mut removal = provision.removal().await.unwrap();
    removal.steps.iter_mut().for_each(Step::consent);
    provision.apply(&mut removal).await.unwrap();
    assert!(server.inside.lock().unwrap().things.is_empty());
}

#[tokio::test]
async fn what_somebody_changed_is_put_back_in_place_where_that_can_be() {
    let server = Learning::new("platinum", false);
    let elastic = Elastic::open(&server.connection).await.unwrap();
    let provision = jobs(&elastic);
    apply(&provision).await;
    let mut plan = provision.switching(true).await.unwrap();
    provision.switch(&mut plan, None).await.unwrap();
    let inside = || server.inside.lock().unwrap();
    let job = "_ml/anomaly_detectors/picket-winlogbeat-event-rate";
    let feed = "_ml/datafeeds/datafeed-picket-winlogbeat-event-rate";
    let born = inside().things[job]["create_time"].clone();
    inside().things.get_mut(job).unwrap()["description"] = json!("mine");
    inside().things.get_mut(feed).unwrap()["query_delay"] = json!("1s");
    let other = "_ml/anomaly_detectors/picket-winlogbeat-population";
    inside().things.get_mut(other).unwrap()["analysis_config"]["bucket_span"] = json!("1h");

    let mut plan = provision.plan().await.unwrap();
    let step = |plan: &Plan, name: &str, kind: Kind| {
        plan.steps
            .iter()
            .find(|step| step.kind == kind && name.ends_with(&step.name))
            .cloned()
            .unwrap()
    };
    assert_eq!(step(&plan, job, Kind::Job).action, Action::Conflict);
    assert_eq!(step(&plan, feed, Kind::Datafeed).action, Action::Conflict);
    let fixed = step(&plan, other, Kind::Job);
    assert_eq!(fixed.action, Action::Skipped);
    assert!(
        fixed
            .why
            .unwrap()
            .contains("analysis_config.bucket_span cannot be changed")
    );
    provision.apply(&mut plan).await.unwrap();
    assert_eq!(inside().things[job]["description"], "mine");

    plan.steps.iter_mut().for_each(Step::consent);
    provision.apply(&mut plan).await.unwrap();
    all_well(&plan);
    assert_ne!(inside().things[job]["description"], "mine");
    assert_eq!(
        inside().things[job]["create_time"],
        born,
        "changed, not made anew"
    );
    assert_eq!(inside().things[feed]["query_delay"], "60s");
    assert!(inside().running.contains(feed), "it goes on where it was");
    let asked = inside().asked.clone();
    assert!(asked.contains(&format!("POST {feed}/_stop")), "{asked:?}");
    let again = provision.plan().await.unwrap();
    assert_eq!(
        again.count(Action::Conflict) + again.count(Action::Update),
        0
    );
}

#[tokio::test]
async fn opensearch_has_detectors_for_some_and_says_for_which_not() {
    let server = Learning::new("", true);
    let elastic = Elastic::open(&server.connection).await.unwrap();
    let provision = jobs(&elastic);
    let first = apply(&provision).await;
    assert_eq!(
        (first.count(Action::Create), first.count(Action::Skipped)),
        (4, 5)
    );
    let rare = first
        .steps
        .iter()
        .find(|step| step.name.contains("rare"))
        .unwrap();
    assert!(rare.why.as_deref().unwrap().contains("has none"));
    assert_eq!(apply(&provision).await.count(Action::Unchanged), 4);
    let mut plan = provision.switching(true).await.unwrap();
    provision.switch(&mut plan, None).await.unwrap();
    all_well(&plan);
    let inside = || server.inside.lock().unwrap();
    assert_eq!(inside().running.len(), 4);
    let (id, name) = {
        let inside = inside();
        let (id, thing) = inside.things.iter().next().unwrap();
        (id.clone(), thing["name"].as_str().unwrap().to_owned())
    };
    inside().things.get_mut(&id).unwrap()["description"] = json!("mine");
    let mut plan = provision.plan().await.unwrap();
    assert_eq!(plan.count(Action::Conflict), 1);
    plan.steps.iter_mut().for_each(Step::consent);
    provision.apply(&mut plan).await.unwrap();
    let changed = plan.steps.iter().find(|step| step.name == name).unwrap();
    assert_eq!(changed.outcome, Some(Outcome::Done));
    assert_eq!(inside().running.len(), 4);
    assert_eq!(inside().things.len(), 4);
    let mut removal = provision.removal().await.unwrap();
    provision.apply(&mut removal).await.unwrap();
    assert!(inside().things.is_empty());
}
