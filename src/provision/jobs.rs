//! Jobs, datafeeds, transforms and detectors on a cluster: whether there can be any, their changes in
//! place, and how they are started and stopped. What they look for is said elsewhere.

use serde_json::Value;

use super::cluster::{Cluster, is_offered};
use super::detectors;
use super::plan::{Kind, Outcome};
use crate::store::StoreError;
use crate::store::elastic::Kind as ServerKind;
use crate::store::elastic::client::{Answer, get, post};

impl Cluster<'_> {
    /// Why there can be no jobs, if so, and what to do.
    pub(super) async fn learning(&self) -> Result<Option<String>, StoreError> {
        if self.offered.server == ServerKind::OpenSearch {
            let path = "_plugins/_anomaly_detection/stats";
            let answer = self.client.send(get(path)).await?;
            return Ok((!is_offered(&answer)).then(|| {
                "this cluster lacks the plugin opensearch-anomaly-detection; install it".into()
            }));
        }
        let answer = self.client.send(get("_license")).await?;
        if answer.status == 200 {
            let said: Value = answer.read(self.client.address())?;
            let part = |key: &str| said["license"][key].as_str().unwrap_or("unknown");
            let (kind, status) = (part("type"), part("status"));
            if !matches!(kind, "platinum" | "enterprise" | "trial") || status != "active" {
                return Ok(Some(format!(
                    "machine learning needs a Platinum or Enterprise licence or a trial, and this \
                     cluster's is {kind} ({status}); POST _license/start_trial?acknowledge=true \
                     starts a trial; rules, blacklist and modules need none"
                )));
            }
        }
        let answer = self.client.send(get("_ml/info")).await?;
        Ok(match answer.status {
            200 => {
                let said: Value = answer.read(self.client.address())?;
                let upgrading = said["upgrade_mode"] == true;
                upgrading.then(|| "machine learning is in upgrade mode; try again later".into())
            }
            401 | 403 => Some(
                "not allowed to use machine learning; `picket role --provision` prints what is \
                 needed"
                    .into(),
            ),
            _ => Some(
                "this cluster has no machine learning; xpack.ml.enabled turns it on where it is \
                 installed"
                    .into(),
            ),
        })
    }

    /// Changes a job and the like in place.
    pub(super) async fn update(
        &self,
        kind: Kind,
        name: &str,
        body: &Value,
    ) -> Result<Outcome, StoreError> {
        let path = format!("{}/_update", self.path(kind, name));
        let body = changeable(kind, body).to_string();
        // A datafeed is changed while it rests.
        let runs = kind == Kind::Datafeed && self.switch(kind, name, false, None).await?;
        let answer = self.client.send(post(&path, &[], body.as_bytes())).await?;
        let outcome = self.done(&answer)?;
        if runs {
            self.switch(kind, name, true, None).await?;
        }
        Ok(outcome)
    }

    /// Starts or stops it; what the server has against it.
    pub(super) async fn set(
        &self,
        kind: Kind,
        name: &str,
        on: bool,
        since: Option<i64>,
    ) -> Result<Outcome, StoreError> {
        if kind == Kind::Detector {
            return detectors::switch(self.client, name, on).await;
        }
        let answer = self.asked(kind, name, on, since).await?;
        // It is as it shall be.
        if answer.status == 409 {
            return Ok(Outcome::Done);
        }
        self.done(&answer)
    }

    /// Whether it was otherwise.
    async fn switch(
        &self,
        kind: Kind,
        name: &str,
        on: bool,
        since: Option<i64>,
    ) -> Result<bool, StoreError> {
        let answer = self.asked(kind, name, on, since).await?;
        Ok(answer.status == 200)
    }

    async fn asked(
        &self,
        kind: Kind,
        name: &str,
        on: bool,
        since: Option<i64>,
    ) -> Result<Answer, StoreError> {
        let word = match (kind, on) {
            (Kind::Job, true) => "_open",
            (Kind::Job, false) => "_close",
            (_, true) => "_start",
            (_, false) => "_stop",
        };
        let path = format!("{}/{word}", self.path(kind, name));
        let since = since.map(|at| at.to_string()).unwrap_or_default();
        let query = [("start", since.as_str())];
        let query: &[(&str, &str)] = match kind {
            Kind::Datafeed if on && !since.is_empty() => &query,
            _ => &[],
        };
        self.client.send(post(&path, query, b"{}")).await
    }
}

/// What of it an update may say.
pub(super) fn changeable(kind: Kind, body: &Value) -> Value {
    let fixed: &[&str] = match kind {
        Kind::Job => &["analysis_config", "data_description"],
        Kind::Datafeed => &["job_id"],
        Kind::Transform => &["pivot"],
        _ => &["source", "dest", "analysis", "analyzed_fields"],
    };
    let mut body = body.clone();
    if let Value::Object(map) = &mut body {
        map.retain(|key, _| !fixed.contains(&key.as_str()));
        if let Some(Value::Object(limits)) = map.get_mut("analysis_limits") {
            limits.remove("categorization_examples_limit");
        }
    }
    body
}
