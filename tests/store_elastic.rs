//! The contract of [`Store`] on a real Elasticsearch or OpenSearch, and what only a cluster can do
//! to a feed. `tests/servers/all` runs it on each kind of server; without `PICKET_TEST_ELASTIC_URL`
//! it is skipped. Everything on that server is deleted.

mod anomalies;
mod command;
mod connection;
pub(crate) mod home;
mod indices;
mod load;
mod provision;
mod refusals;
mod role;
pub(crate) mod server;
mod sharing;
mod unnumbered;
mod upkeep;

use std::sync::Arc;

use picket::store::Store;

use crate::store_contract::contract;
use server::Server;

#[tokio::test]
async fn the_store_on_a_cluster_keeps_the_contract() {
    let Some(server) = Server::get().await else {
        return;
    };
    contract(async || {
        server.wipe().await;
        Arc::new(server.store().await) as Arc<dyn Store>
    })
    .await;
}
