//! The registry as Python sees it: JSON texts, made when they are asked for.

use std::time::Instant;

use serde_json::{Value, json};

use crate::mesh::catalog::{Catalog, Node};

fn raw(json: Option<&[u8]>) -> Value {
    json.and_then(|json| serde_json::from_slice(json).ok()).unwrap_or(Value::Null)
}

/// All nodes with their services.
pub(super) fn nodes(catalog: &Catalog, with_services: bool) -> String {
    let now = Instant::now();
    let all: Vec<Value> = catalog.nodes().map(|node| one(node, now, with_services)).collect();
    Value::Array(all).to_string()
}

fn one(node: &Node, now: Instant, with_services: bool) -> Value {
    let ms =
        |since: Instant| u64::try_from(now.saturating_duration_since(since).as_millis()).unwrap_or(u64::MAX);
    let mut told = json!({
        "id": &*node.id,
        "instanceID": node.instance_id.as_deref(),
        "available": node.available,
        "local": node.local,
        "silentFor": if node.local { 0 } else { ms(node.heard) },
        "offlineFor": node.offline_since.map(ms),
        "cpu": node.cpu,
        "seq": node.seq,
        "hostname": node.hostname.as_deref(),
        "ipList": raw(node.ip_list.as_deref()),
        "client": raw(node.client.as_deref()),
        "config": raw(node.config.as_deref()),
        "metadata": raw(node.metadata.as_deref()),
    });
    if let Some(told) = told.as_object_mut().filter(|_| with_services) {
        let mut services = Vec::new();
        node.write_services(&mut services);
        told.insert("services".to_owned(), raw(Some(&services)));
    }
    told
}

/// All actions, with where each is served.
pub(super) fn actions(catalog: &Catalog) -> String {
    let mut all: Vec<Value> = catalog
        .actions()
        .map(|action| {
            let schema = action
                .endpoints
                .first()
                .and_then(|(endpoint, _)| Some(raw(Some(endpoint.service.schema(endpoint.action()?)))));
            let endpoints: Vec<Value> = action
                .endpoints
                .iter()
                .map(|(endpoint, usable)| {
                    json!({"nodeID": &*endpoint.node, "local": endpoint.local, "available": usable})
                })
                .collect();
            json!({
                "name": &**action.name,
                "count": endpoints.len(),
                "hasLocal": action.endpoints.iter().any(|(endpoint, _)| endpoint.local),
                "available": action.endpoints.iter().any(|(_, usable)| *usable),
                "strategy": action.strategy.name(),
                "action": schema,
                "endpoints": endpoints,
            })
        })
        .collect();
    all.sort_by(|one, other| one["name"].as_str().cmp(&other["name"].as_str()));
    Value::Array(all).to_string()
}

/// All that is listened to, and by whom.
pub(super) fn events(catalog: &Catalog) -> String {
    let all: Vec<Value> = catalog
        .events()
        .map(|event| {
            let endpoints: Vec<Value> = event
                .endpoints
                .iter()
                .map(|(node, service, local)| {
                    json!({"nodeID": &**node, "local": local, "service": &*service.full_name})
                })
                .collect();
            json!({
                "name": &**event.pattern,
                "group": &**event.group,
                "count": endpoints.len(),
                "hasLocal": event.endpoints.iter().any(|(_, _, local)| *local),
                "endpoints": endpoints,
            })
        })
        .collect();
    Value::Array(all).to_string()
}

/// Where an action is served and may be called: `(node, is it this one, its schema)` each.
pub(super) fn endpoints(catalog: &Catalog, action: &str) -> Vec<(String, bool, bool, String)> {
    let told = catalog.endpoints(action).unwrap_or_default();
    told.into_iter()
        .map(|(endpoint, usable)| {
            let schema = endpoint.action().map(|action| endpoint.service.schema(action).to_vec());
            let schema = String::from_utf8(schema.unwrap_or_default()).unwrap_or_default();
            (endpoint.node.to_string(), endpoint.local, usable, schema)
        })
        .collect()
}
