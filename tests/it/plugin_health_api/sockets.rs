//! `WS /v1/stream`: a client's own pictures.

use std::{
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use keepsight_jpeg::Picture;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{
    self, Message, WebSocket,
    client::IntoClientRequest as _,
    http::{HeaderValue, Response},
};

use super::client::{get, request};
use crate::support::{Gate, Script, Site};

/// A client with an open WebSocket.
struct Client(WebSocket<TcpStream>);

type Answer = Response<Option<Vec<u8>>>;

impl Client {
    /// Asks for `path` with these headers beside the handshake's.
    fn ask(
        address: SocketAddr,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<(Self, Answer), Box<Answer>> {
        let stream = TcpStream::connect(address).unwrap();
        // No test waits longer, whatever goes wrong.
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut request = format!("ws://{address}{path}").into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, HeaderValue::from_str(value).unwrap());
        }
        match tungstenite::client(request, stream) {
            Ok((socket, response)) => Ok((Self(socket), response)),
            Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(response))) => {
                Err(response)
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Connects to `plugin`, and hears that it is.
    #[track_caller]
    fn connect(site: &Site, plugin: &str) -> Self {
        let path = format!("/v1/stream?plugin={plugin}");
        let (mut client, _) = Self::ask(site.address(), &path, &[]).unwrap();
        let connected = client.hear();
        assert_eq!(connected["type"], "connected", "{connected}");
        assert_eq!(connected["payload"]["plugin"], plugin);
        assert!(connected["payload"]["client_id"].is_string(), "{connected}");
        client
    }

    fn say(&mut self, message: &Value) {
        self.0.send(Message::text(message.to_string())).unwrap();
    }

    /// The next message that is no ping.
    #[track_caller]
    fn hear(&mut self) -> Value {
        loop {
            if let Message::Text(text) = self.0.read().unwrap() {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }

    #[track_caller]
    fn show(&mut self, id: u64, more: &Value) -> Value {
        self.say(&frame(id, more));
        self.hear()
    }
}

fn frame(id: u64, more: &Value) -> Value {
    let jpeg = keepsight_jpeg::encode(&Picture::filled(16, 16, [90; 3]), 80).unwrap();
    let mut message =
        json!({ "type": "frame", "frame_id": id, "image_data": BASE64_STANDARD.encode(jpeg) });
    for (name, value) in more.as_object().into_iter().flatten() {
        message[name] = value.clone();
    }
    message
}

fn site() -> Site {
    Site::start(
        "[plugins.it]\nuse = \"fault-injector\"\n[plugins.other]\nuse = \"scripted\"\n\
         config = { script = \"other\" }",
    )
}

#[test]
fn each_picture_is_answered_in_one_session() {
    let site = site();
    site.await_state("it", "INITIALIZED");
    let mut client = Client::connect(&site, "it");
    for id in 1..=3 {
        let said = client.show(id, &json!({ "tools": ["ok"] }));
        assert_eq!(said["type"], "result", "{said}");
        let payload = &said["payload"];
        assert_eq!((&payload["frame_id"], &payload["plugin"]), (&json!(id), &json!("it")));
        assert_eq!(payload["result"]["tool_order"], json!(["ok"]));
        // The session counts its calls.
        assert_eq!(payload["result"]["tools"]["ok"]["calls"], id);
        assert!(payload["processing_time_ms"].is_u64());
    }
    // Another client's session is another.
    let said = Client::connect(&site, "it").show(1, &json!({ "tools": ["ok"] }));
    assert_eq!(said["payload"]["result"]["tools"]["ok"]["calls"], 1);
    client.say(&json!({ "type": "ping" }));
    assert_eq!(client.hear(), json!({ "type": "pong" }));
}

#[test]
fn a_client_changes_the_plugin() {
    let site = site();
    site.await_state("it", "INITIALIZED");
    site.await_state("other", "INITIALIZED");
    let mut client = Client::connect(&site, "it");
    client.say(&json!({ "type": "switch_plugin", "plugin": "other" }));
    assert_eq!(client.hear()["payload"]["plugin"], "other");
    // Without tools it is the one that a stream would run.
    let said = client.show(1, &json!({}));
    assert_eq!(said["payload"]["result"]["tool_order"], json!(["do"]));
    let said = client.show(2, &json!({ "plugin_id": "it", "tools": ["ok"] }));
    assert_eq!(said["payload"]["plugin"], "it");
    client.say(&json!({ "type": "switch_plugin", "plugin": "x" }));
    assert_eq!(client.hear()["message"], "Plugin 'x' not found");
    let said = client.show(3, &json!({ "tools": ["ok"] }));
    assert_eq!(said["payload"]["plugin"], "it", "it stays as it was");
}

#[test]
fn what_goes_wrong_is_said_and_the_client_goes_on() {
    let site = site();
    site.await_state("it", "INITIALIZED");
    let mut client = Client::connect(&site, "it");
    for (message, expected) in [
        (json!({ "type": "frame", "frame_id": 7, "image_data": "" }), "holds no picture"),
        (frame(7, &json!({ "tools": ["x"] })), "x"),
        (frame(7, &json!({ "plugin_id": "x" })), "Plugin 'x' not found"),
        (frame(7, &json!({ "tools": vec!["ok"; 9] })), "at most 8 tools"),
    ] {
        client.say(&message);
        let said = client.hear();
        assert_eq!((&said["type"], &said["frame_id"]), (&json!("error"), &json!(7)), "{said}");
        assert!(said["message"].as_str().unwrap().contains(expected), "{said}");
        assert_eq!(said["payload"]["error"], said["message"]);
    }
    for message in ["", "{}", "{\"type\":\"dance\"}", "[]", "{\"type\":\"frame\"}"] {
        client.0.send(Message::text(message)).unwrap();
        let said = client.hear();
        assert!(said["message"].as_str().unwrap().starts_with("not understood"), "{said}");
    }
    client.0.send(Message::binary(vec![1])).unwrap();
    assert_eq!(client.hear()["message"], "messages are JSON texts");
    assert_eq!(client.show(8, &json!({ "tools": ["ok"] }))["type"], "result");
}

#[test]
fn a_fault_ends_the_session_and_the_next_picture_opens_another() {
    Script::default()
        .run(|request, _| match request.args().get("never") {
            None => panic!("only once"),
            Some(_) => unreachable!(),
        })
        .named("panics-on-sockets");
    let site = Site::start(
        "[plugins.it]\nuse = \"scripted\"\nconfig = { script = \"panics-on-sockets\" }",
    );
    site.await_state("it", "INITIALIZED");
    let mut client = Client::connect(&site, "it");
    let said = client.show(1, &json!({}));
    assert_eq!(said["type"], "error");
    assert!(said["message"].as_str().unwrap().contains("only once"), "{said}");
    let said = client.show(2, &json!({}));
    assert_eq!((&said["type"], &said["frame_id"]), (&json!("error"), &json!(2)));
}

#[test]
fn whoever_sends_faster_than_the_plugin_works_is_told() {
    let gate = Gate::default();
    let held = gate.clone();
    Script::default()
        .run(move |_, _| {
            held.wait();
            Ok(keepsight_contract::Response::new())
        })
        .named("slow-on-sockets");
    let site =
        Site::start("[plugins.it]\nuse = \"scripted\"\nconfig = { script = \"slow-on-sockets\" }");
    site.await_state("it", "INITIALIZED");
    let mut client = Client::connect(&site, "it");
    client.say(&frame(1, &json!({})));
    gate.await_waiting(1);
    client.say(&frame(2, &json!({})));
    client.say(&frame(3, &json!({})));
    let said = client.hear();
    assert_eq!((&said["frame_id"], &said["type"]), (&json!(2), &json!("error")), "{said}");
    gate.open();
    for id in [1, 3] {
        let said = client.hear();
        assert_eq!(said["payload"]["frame_id"], id, "{said}");
    }
}

#[test]
fn a_client_with_the_key_may_be_a_page_elsewhere() {
    let text = "[server]\nkey = \"correct-horse-battery\"\n[plugins.it]\nuse = \"fault-injector\"";
    let site = Site::start(text);
    let origin = ("origin", "https://wall.example");
    let path = "/v1/stream?plugin=it";
    let ask = |headers: &[(&'static str, &str)]| Client::ask(site.address(), path, headers);
    let protocols = |key: &str| {
        let key = BASE64_URL_SAFE_NO_PAD.encode(key);
        format!("keepsight, keepsight.key.{key}")
    };
    for headers in [
        &[origin][..],
        &[],
        &[origin, ("sec-websocket-protocol", &protocols("wrong-horse-battery"))],
        &[origin, ("sec-websocket-protocol", "keepsight, keepsight.key.!")],
    ] {
        assert_eq!(ask(headers).err().map(|refused| refused.status().as_u16()), Some(401));
    }
    let right = protocols("correct-horse-battery");
    let (_, response) = ask(&[origin, ("sec-websocket-protocol", &right)]).unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "keepsight");
    assert!(ask(&[("x-api-key", "correct-horse-battery")]).is_ok());
    // As a protocol the key opens nothing else.
    let head = format!("GET /v1/streams\nsec-websocket-protocol: {right}");
    assert_eq!(request(site.address(), &head, "").status, 401);
}

#[test]
fn a_request_that_is_no_handshake_is_told_so() {
    let site = site();
    let answer = get(site.address(), "/v1/stream?plugin=it");
    assert_eq!(answer.status, 400);
    assert!(answer.detail().contains("WebSocket"), "{answer:?}");
    for (path, status) in [("/v1/stream", 400), ("/v1/stream?plugin=x", 404)] {
        let refused = Client::ask(site.address(), path, &[]).err().unwrap();
        assert_eq!(refused.status().as_u16(), status, "{path}");
    }
}

#[test]
fn sockets_are_limited_and_end_with_the_server() {
    let site =
        Site::start("[server]\nlimits = { sockets = 1 }\n[plugins.it]\nuse = \"fault-injector\"");
    let mut client = Client::connect(&site, "it");
    let refused = Client::ask(site.address(), "/v1/stream?plugin=it", &[]).err().unwrap();
    assert_eq!(refused.status().as_u16(), 503);
    drop(site);
    let end = loop {
        match client.0.read() {
            Ok(Message::Close(frame)) => break frame,
            Ok(_) => {}
            Err(error) => panic!("no goodbye: {error}"),
        }
    };
    assert_eq!(end.unwrap().reason.as_str(), "the server stops");
}
