//! Reads `anomalies` of `picket.yml`: which results of anomaly jobs are folded in.

use super::Reader;
use crate::rule::yaml::{Node, Value};
use crate::sweep::Anomalies;

/// Sets what the file says.
pub(super) fn read(reader: &mut Reader<'_>, node: &Node, anomalies: &mut Anomalies) {
    for entry in reader.map(node, "anomalies", &["min_score", "outlier", "jobs"]) {
        let node = &entry.value;
        match entry.key.as_str() {
            "min_score" => {
                if let Some(score) = number(reader, node, "min_score", 100.0) {
                    anomalies.min_score = score;
                }
            }
            "outlier" => {
                if let Some(score) = number(reader, node, "outlier", 1.0) {
                    anomalies.outlier = score;
                }
            }
            _ => {
                let jobs = node.items().iter();
                anomalies.jobs = jobs.filter_map(|job| reader.text(job, "jobs")).collect();
            }
        }
    }
}

fn number(reader: &mut Reader<'_>, node: &Node, what: &str, most: f64) -> Option<f64> {
    let number = match &node.value {
        Value::Number(text) => text.parse().ok(),
        _ => None,
    };
    let number = number.filter(|number| (0.0..=most).contains(number));
    if number.is_none() {
        let message = format!("`{what}` must be a number from 0 to {most}");
        reader.problem(node.line, message, None);
    }
    number
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::Config;
    use crate::sweep::Anomalies;

    #[test]
    fn scores_and_jobs_are_read_and_mistakes_named() {
        let read = |text: &str| Config::read(text, Path::new("picket.yml"));
        let (config, problems) =
            read("anomalies: { min_score: 50, outlier: 0.9, jobs: [mine-*, x] }");
        assert_eq!(problems, []);
        let expected = Anomalies {
            min_score: 50.0,
            outlier: 0.9,
            jobs: vec!["mine-*".into(), "x".into()],
        };
        assert_eq!(config.anomalies, expected);
        assert_eq!(config.folded(), None, "there is no cluster");
        let (config, problems) = read("anomalies: { jobs: [] }");
        assert_eq!((config.anomalies.jobs.len(), problems.len()), (0, 0));
        let (config, problems) =
            read("anomalies:\n  min_scor: 1\n  min_score: 750\n  outlier: high\n");
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(config.anomalies, Anomalies::default());
        assert_eq!(
            problems,
            [
                "picket.yml:2: unknown key `min_scor` in anomalies; did you mean `min_score`?",
                "picket.yml:3: `min_score` must be a number from 0 to 100",
                "picket.yml:4: `outlier` must be a number from 0 to 1",
            ]
        );
    }
}
