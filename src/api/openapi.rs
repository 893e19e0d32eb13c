//! The description of the API for programs, made of the one list of paths.

use std::sync::LazyLock;

use hyper::{StatusCode, body::Bytes};
use serde_json::{Map, Value, json};

use super::{
    routes::{Access, BodyKind, ENDPOINTS, Endpoint},
    schemas::schemas,
};
use crate::health::Reply;

/// `/openapi.json`.
pub(super) fn openapi() -> Reply {
    Reply::new(StatusCode::OK, "application/json", DESCRIPTION.clone())
}

/// It is the same for as long as the process lives.
static DESCRIPTION: LazyLock<Bytes> = LazyLock::new(|| description().to_string().into());

fn description() -> Value {
    let mut paths = Map::new();
    for endpoint in &ENDPOINTS {
        let path = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        path[endpoint.method.as_str().to_ascii_lowercase()] = operation(endpoint);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Keepsight",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Health, calls, streams and events of a Keepsight process. Any \
                request may also be answered 400 or 403 for its Host, 404 where its path or query \
                can't be read, 405 for its method, and 408, 414 or 431 for its head; OPTIONS is \
                answered 200 on any path. An error says under `detail` what is wrong.",
        },
        "paths": paths,
        "components": {
            "securitySchemes": {
                "key": { "type": "apiKey", "in": "header", "name": "X-API-Key" },
                "bearer": { "type": "http", "scheme": "bearer" },
                "session": { "type": "apiKey", "in": "cookie", "name": "keepsight_session" },
            },
            "schemas": schemas(),
        },
    })
}

fn operation(endpoint: &Endpoint) -> Value {
    let mut operation = json!({
        "summary": endpoint.summary,
        "operationId": operation_id(endpoint),
        "responses": responses(endpoint),
    });
    let parameters = parameters(endpoint);
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(body) = endpoint.body {
        operation["requestBody"] = json!({
            "required": true,
            "content": { "application/json": { "schema": body_schema(body) } },
        });
    }
    if needs_key(endpoint) {
        // Where a key is set; without one, nothing needs it.
        operation["security"] = json!([{ "key": [] }, { "bearer": [] }, { "session": [] }, {}]);
    }
    operation
}

/// Such as `get_v1_plugins_name_health`; a path that ends in a slash has an underscore there.
fn operation_id(endpoint: &Endpoint) -> String {
    let path = endpoint.path.replace(['/', '.'], "_").replace(['{', '}'], "");
    format!("{}{path}", endpoint.method.as_str().to_ascii_lowercase())
}

fn parameters(endpoint: &Endpoint) -> Vec<Value> {
    let names =
        endpoint.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let of_path = names.map(|name| {
        json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
    });
    let of_query = endpoint.query.iter().map(|(name, description)| {
        let schema = json!({ "type": "string" });
        json!({ "name": name, "in": "query", "description": description, "schema": schema })
    });
    of_path.chain(of_query).collect()
}

fn responses(endpoint: &Endpoint) -> Map<String, Value> {
    let (status, media_type) = endpoint.success;
    let mut success = json!({ "description": words(status) });
    if !media_type.is_empty() {
        success["content"] = json!({ media_type: {} });
        if let Some(schema) = endpoint.answer.used() {
            success["content"][media_type]["schema"] = schema;
        }
    }
    let error = json!({
        "application/json": { "schema": { "$ref": "#/components/schemas/Error" } },
    });
    let all = endpoint.statuses().map(|status| {
        (status.to_string(), json!({ "description": words(status), "content": error }))
    });
    let mut responses: Map<_, _> = all.collect();
    responses.insert(status.to_string(), success);
    responses
}

fn body_schema(body: BodyKind) -> Value {
    let object = |name: &str, schema: Value| json!({ "type": "object", "required": [name], "properties": { name: schema } });
    match body {
        BodyKind::Args => {
            let picture = "a JPEG or PNG in base64, for a tool that takes a picture";
            let session = "calls of one name share a session, which is kept for a while";
            let properties = json!({
                "frame_base64": { "type": "string", "description": picture },
                "session": { "type": "string", "description": session },
            });
            object("args", json!({ "type": "object", "properties": properties }))
        }
        BodyKind::Key => object("key", json!({ "type": "string" })),
    }
}

fn needs_key(endpoint: &Endpoint) -> bool {
    matches!(endpoint.access, Access::Change | Access::Private)
}

fn words(status: u16) -> &'static str {
    let status = StatusCode::from_u16(status).ok();
    status.and_then(|status| status.canonical_reason()).unwrap_or("as said under detail")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn listed() -> BTreeSet<String> {
        ENDPOINTS.iter().map(|each| format!("{} {}", each.method, each.path)).collect()
    }

    #[test]
    fn the_description_lists_exactly_the_routes_that_there_are() {
        let description = description();
        let mut described = BTreeSet::new();
        for (path, operations) in description["paths"].as_object().unwrap() {
            for method in operations.as_object().unwrap().keys() {
                described.insert(format!("{} {path}", method.to_ascii_uppercase()));
            }
        }
        assert_eq!(described, listed());
        assert_eq!(listed().len(), ENDPOINTS.len(), "one is listed twice");
    }

    #[test]
    fn the_list_for_readers_is_the_same() {
        let text = include_str!("routes.rs").split("//! ```").nth(1).unwrap();
        let lines = text.lines().filter_map(|line| line.strip_prefix("//! "));
        let routes = lines.filter_map(|line| {
            let mut words = line.split_whitespace();
            let (method, path) = (words.next()?, words.next()?);
            Some(format!("{method} {}", path.split('[').next()?))
        });
        assert_eq!(routes.filter(|route| route.contains('/')).collect::<BTreeSet<_>>(), listed());
    }

    #[test]
    fn operations_have_names_of_their_own_and_all_of_their_parameters() {
        let ids: BTreeSet<_> = ENDPOINTS.iter().map(operation_id).collect();
        assert_eq!(ids.len(), ENDPOINTS.len(), "{ids:?}");
        let run = &description()["paths"]["/v1/plugins/{name}/tools/{tool}/run"]["post"];
        let names: Vec<_> =
            run["parameters"].as_array().unwrap().iter().map(|each| each["name"].clone()).collect();
        assert_eq!(names, ["name", "tool"]);
        assert!(run["requestBody"].is_object() && run["security"].is_array(), "{run}");
        assert!(run["responses"]["408"].is_object() && run["responses"]["401"].is_object());
        let readyz = &description()["paths"]["/readyz"]["get"];
        assert_eq!(readyz["parameters"][1]["name"], "exclude");
        assert_eq!(readyz.get("security"), None);
    }
}
