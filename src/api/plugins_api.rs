//! Manifests, tool calls and reloads.

use std::{collections::BTreeMap, time::Instant};

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
    prelude::BASE64_STANDARD,
};
use hyper::StatusCode;
use keepsight_contract::{Attachment, Frame, Manifest, Output, Response, Tool};
use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap as _};
use serde_json::{Map, Value, json};

use super::{Backend, ToolCall, ToolError, ToolOutcome};
use crate::{
    health::{Reply, plugin_not_found},
    loader::{NoSessionName, SessionName},
};

/// The manifest as the clients know it: what only the runtime reads is left out.
#[derive(Serialize)]
struct ManifestItem<'a> {
    id: &'a str,
    name: &'a str,
    version: &'a str,
    description: &'a str,
    r#type: &'a str,
    capabilities: &'a [String],
    tools: Vec<ToolItem<'a>>,
}

#[derive(Serialize)]
struct ToolItem<'a> {
    id: &'a str,
    title: &'a str,
    description: &'a str,
    input_types: &'a [String],
    inputs: &'a Value,
    output_types: &'a [String],
    outputs: &'a Value,
    capabilities: &'a [String],
}

/// The body of a call. Keys besides are left alone.
#[derive(Deserialize)]
struct RunBody {
    args: Map<String, Value>,
}

/// What a call gave.
#[derive(Serialize)]
struct RunAnswer<'a> {
    tool_name: &'a str,
    plugin_id: &'a str,
    result: ResultItem<'a>,
    processing_time_ms: u64,
}

/// A response on the wire.
pub(super) struct ResultItem<'a>(pub(super) &'a Response);

#[derive(Serialize)]
struct AttachmentItem<'a> {
    name: &'a str,
    media_type: &'a str,
    base64: String,
}

pub(super) fn manifest(backend: &dyn Backend, plugin: &str) -> Reply {
    match backend.plugin(plugin).map(|report| report.manifest) {
        None => plugin_not_found(plugin),
        Some(Some(manifest)) => Reply::ok(&manifest_item(&manifest)),
        Some(None) => {
            let detail = format!("Plugin '{plugin}' has no manifest; it could not be loaded");
            Reply::detail(StatusCode::NOT_FOUND, detail)
        }
    }
}

/// Runs a tool. Takes as long as the call does: for a thread that may wait.
pub(super) fn run(backend: &dyn Backend, plugin: &str, tool: &str, body: &[u8]) -> Reply {
    let args = match arguments(body) {
        Ok(args) => args,
        Err(reply) => return reply,
    };
    match call(backend, plugin, tool, args) {
        // Clients ask for a plugin by the instance's name and get that name back.
        Ok(outcome) => Reply::ok(&RunAnswer {
            tool_name: tool,
            plugin_id: plugin,
            result: ResultItem(&outcome.response),
            processing_time_ms: u64::try_from(outcome.took.as_millis()).unwrap_or(u64::MAX),
        }),
        Err(error) => error.reply(),
    }
}

/// The arguments in a call's body.
pub(super) fn arguments(body: &[u8]) -> Result<Map<String, Value>, Reply> {
    serde_json::from_slice(body).map(|RunBody { args }| args).map_err(|error| {
        let detail = format!("the body is not {{\"args\": {{…}}}}: {error}");
        Reply::detail(StatusCode::UNPROCESSABLE_ENTITY, detail)
    })
}

fn call(
    backend: &dyn Backend,
    plugin: &str,
    tool: &str,
    mut args: Map<String, Value>,
) -> Result<ToolOutcome, ToolError> {
    // Whether there is somebody to ask comes before the cost of a picture.
    check_callable(backend, plugin, tool)?;
    let (session, frame) = session_and_frame(&mut args)?;
    let call = ToolCall { tool: tool.to_owned(), args: Value::Object(args), frame, session };
    backend.run_tool(plugin, call)
}

/// Whether `tool` of `plugin` could be called now.
pub(super) fn check_callable(
    backend: &dyn Backend,
    plugin: &str,
    tool: &str,
) -> Result<(), ToolError> {
    let report = backend
        .plugin(plugin)
        .ok_or_else(|| ToolError::UnknownPlugin { plugin: plugin.to_owned() })?;
    if let Some(manifest) = &report.manifest
        && manifest.find_tool(tool).is_none()
    {
        let known = manifest.tools.iter().map(|tool| tool.id.clone()).collect();
        let (plugin, tool) = (plugin.to_owned(), tool.to_owned());
        return Err(ToolError::UnknownTool { plugin, tool, known });
    }
    if !report.state.is_available() {
        return Err(ToolError::NotServing {
            state: report.state,
            reason: report.reason,
            hint: report.hint,
            retry_after: report.next_attempt_in,
        });
    }
    Ok(())
}

/// Builds an instance anew. Takes as long as that does: for a thread that may wait.
pub(super) fn reload(backend: &dyn Backend, plugin: &str) -> Reply {
    match backend.reload(plugin) {
        Ok(()) => Reply::ok(&json!({ "status": "reloaded", "plugin": plugin })),
        Err(error) => error.reply(),
    }
}

/// Takes out of the arguments what isn't the plugin's: the session's name and the picture.
pub(super) fn session_and_frame(
    args: &mut Map<String, Value>,
) -> Result<(Option<SessionName>, Option<Frame>), ToolError> {
    let session = args.remove("session").map(session_name).transpose()?;
    let frame = args.remove("frame_base64").map(picture).transpose()?;
    Ok((session, frame))
}

/// The session that a call belongs to.
fn session_name(value: Value) -> Result<SessionName, ToolError> {
    let name = value.as_str().unwrap_or_default().parse();
    name.map_err(|error: NoSessionName| ToolError::BadArguments { reason: error.to_string() })
}

/// The picture of a JPEG or PNG in base64, with or without a data-URL prefix.
pub(super) fn picture(text: Value) -> Result<Frame, ToolError> {
    let bad = |reason: String| ToolError::BadArguments { reason };
    let Value::String(text) = text else {
        return Err(bad("frame_base64 is no text".to_owned()));
    };
    let base64 = match text.strip_prefix("data:") {
        Some(url) => {
            let (kind, data) = url.split_once(',').unwrap_or((url, ""));
            if !kind.ends_with(";base64") {
                return Err(bad("frame_base64 is a data URL that is not base64".to_owned()));
            }
            data
        }
        None => &text,
    };
    let bytes = PICTURE_BASE64
        .decode(base64.trim_ascii())
        .map_err(|error| bad(format!("frame_base64 is not base64: {error}")))?;
    let picture = keepsight_jpeg::decode_picture(&bytes)
        .map_err(|error| bad(format!("frame_base64 holds no picture: {error}")))?;
    picture
        .into_frame(0, Instant::now())
        .map_err(|error| bad(format!("frame_base64 holds no picture: {error}")))
}

/// As clients see it: each typed output under its kind, JSON under its name, and what else there
/// is under `attachments` and `overlay`. A later output of the same name replaces an earlier one.
impl Serialize for ResultItem<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(response) = *self;
        let key = |output: &Output| match output {
            Output::Json(json) => json.name.clone(),
            other => other.kind().as_str().to_owned(),
        };
        // Written straight from the outputs: a JSON value in between would widen each f32 to the
        // many digits of its f64.
        let outputs: BTreeMap<_, _> =
            response.outputs.iter().map(|output| (key(output), output)).collect();
        let mut map = serializer.serialize_map(None)?;
        for (key, output) in &outputs {
            match output {
                Output::Json(json) => map.serialize_entry(key, &json.value)?,
                Output::Detections(detections) => map.serialize_entry(key, detections)?,
                Output::Tracks(tracks) => map.serialize_entry(key, tracks)?,
                Output::Regions(regions) => map.serialize_entry(key, regions)?,
                // A kind that a newer contract adds: its own tagged form.
                other => map.serialize_entry(key, other)?,
            }
        }
        if !response.attachments.is_empty() {
            let attachments: Vec<_> = response.attachments.iter().map(attachment_item).collect();
            map.serialize_entry("attachments", &attachments)?;
        }
        if !response.overlay.is_empty() {
            map.serialize_entry("overlay", &response.overlay)?;
        }
        map.end()
    }
}

fn attachment_item(attachment: &Attachment) -> AttachmentItem<'_> {
    AttachmentItem {
        name: &attachment.name,
        media_type: &attachment.media_type,
        base64: BASE64_STANDARD.encode(&attachment.bytes),
    }
}

fn manifest_item(manifest: &Manifest) -> ManifestItem<'_> {
    ManifestItem {
        id: &manifest.id,
        name: &manifest.name,
        version: &manifest.version,
        description: &manifest.description,
        r#type: &manifest.kind,
        capabilities: &manifest.capabilities,
        tools: manifest.tools.iter().map(tool_item).collect(),
    }
}

fn tool_item(tool: &Tool) -> ToolItem<'_> {
    ToolItem {
        id: &tool.id,
        title: &tool.title,
        description: &tool.description,
        input_types: &tool.input_types,
        inputs: &tool.inputs,
        output_types: &tool.output_types,
        outputs: &tool.outputs,
        capabilities: &tool.capabilities,
    }
}

/// Clients leave the padding out as often as not.
const PICTURE_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
