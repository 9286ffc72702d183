//! Opens the store that the configuration names: the cluster if it names one, otherwise the
//! embedded store. Reads the secrets from where they are kept, and never prints one.

use std::path::Path;
use std::sync::Arc;

use super::{Failure, block_on};
use crate::config::{Cluster, Config, Secret};
use crate::provision::Desk;
use crate::store::elastic::{Connection, Elastic, Login};
use crate::store::embedded::Embedded;
use crate::store::{Sources, Store};

/// Opens the store to read and write.
pub fn open(config: &Config) -> Result<Arc<dyn Store>, Failure> {
    Ok(match &config.cluster {
        Some(cluster) => Arc::new(connect(cluster, config)?),
        None => Arc::new(Embedded::open(&config.data)?),
    })
}

/// Opens the store to read, beside whoever writes.
pub fn open_read_only(config: &Config) -> Result<Arc<dyn Store>, Failure> {
    Ok(match &config.cluster {
        Some(cluster) => Arc::new(connect(cluster, config)?),
        None => Arc::new(Embedded::open_read_only(&config.data)?),
    })
}

/// Where the store is, for people.
pub fn name(config: &Config) -> String {
    match &config.cluster {
        Some(cluster) => cluster.urls.join(", "),
        None => config.data.display().to_string(),
    }
}

/// Everything that is swept.
pub fn sources(config: &Config) -> Sources {
    let patterns = config.sources.iter().flat_map(|source| &source.index.0);
    Sources(patterns.cloned().collect())
}

/// Connects to a cluster.
pub fn connect(cluster: &Cluster, config: &Config) -> Result<Elastic, Failure> {
    let connection = connection(cluster)?;
    let sources = sources(config);
    block_on(async {
        let elastic = Elastic::open(&connection).await?;
        Ok(elastic.reading(sources).leasing(cluster.lease))
    })
}

/// Connects to the Kibana or OpenSearch Dashboards that the configuration names, with the cluster's
/// login where it has none of its own.
pub fn desk(config: &Config) -> Result<Option<Desk>, Failure> {
    let Some(kibana) = &config.kibana else {
        return Ok(None);
    };
    let mut reached = kibana.connection.clone();
    if let (None, None, Some(cluster)) = (&reached.api_key, &reached.username, &config.cluster) {
        reached.api_key.clone_from(&cluster.api_key);
        reached.username.clone_from(&cluster.username);
        reached.password.clone_from(&cluster.password);
    }
    if let (None, Some(cluster)) = (&reached.ca, &config.cluster) {
        reached.ca.clone_from(&cluster.ca);
    }
    let connection = connection(&reached)?;
    let desk = Desk::connect(&connection, kibana.space.as_deref());
    block_on(async { Ok(Some(desk.await?)) })
}

fn connection(cluster: &Cluster) -> Result<Connection, Failure> {
    let login = match (&cluster.api_key, &cluster.username, &cluster.password) {
        (Some(key), ..) => Login::ApiKey(secret(key)?),
        (None, Some(user), Some(password)) => Login::Basic(user.clone(), secret(password)?),
        _ => Login::Anonymous,
    };
    let ca = match &cluster.ca {
        Some(path) => Some(std::fs::read(path).map_err(|error| unreadable(path, &error))?),
        None => None,
    };
    Ok(Connection {
        urls: cluster.urls.clone(),
        login,
        ca,
        fingerprint: cluster.fingerprint.clone(),
        gzip: cluster.gzip,
        timeout: cluster.timeout,
    })
}

fn secret(secret: &Secret) -> Result<String, Failure> {
    let (text, place) = match secret {
        Secret::File(path) => (
            std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?,
            path.display().to_string(),
        ),
        Secret::Env(name) => (
            std::env::var(name).map_err(|_| {
                Failure::input(format!("the environment variable {name} is not set"))
            })?,
            format!("the environment variable {name}"),
        ),
    };
    let text = text.trim();
    if text.is_empty() {
        return Err(Failure::input(format!(
            "{place} is empty; a secret belongs there"
        )));
    }
    Ok(text.to_owned())
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::input(format!("{} cannot be read: {error}", path.display()))
}
