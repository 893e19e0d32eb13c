use serde::{Deserialize, Serialize};

use crate::OutputKind;

/// What a plugin is and does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Manifest {
    /// Unique name, in lower case with hyphens: what configurations say under `use`.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Version of the plugin.
    pub version: String,
    /// What it does, in a sentence.
    pub description: String,
    /// What sort of plugin it is, such as `vision`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it can do, in single words, such as `detection`.
    pub capabilities: Vec<String>,
    /// What can be asked of it.
    pub tools: Vec<Tool>,
    /// Id of the tool that a stream runs on each frame.
    pub stream_tool: Option<String>,
    /// Outputs of earlier plugins on the same stream that it works on. Where it names some, a
    /// stream on which no plugin before it gives any of them is refused; with none it is fed
    /// beside the others.
    pub consumes: Vec<OutputKind>,
    /// Outputs that its stream tool gives.
    pub produces: Vec<OutputKind>,
}

/// Something that can be asked of a plugin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Tool {
    /// Unique within the plugin.
    pub id: String,
    /// Name for people.
    pub title: String,
    /// What it does, in a sentence.
    pub description: String,
    /// Kinds of input, such as `image`.
    pub input_types: Vec<String>,
    /// JSON schema of the arguments.
    pub inputs: serde_json::Value,
    /// Kinds of output, such as `tracks`.
    pub output_types: Vec<String>,
    /// JSON schema of the result.
    pub outputs: serde_json::Value,
    /// What it can do, in single words.
    pub capabilities: Vec<String>,
}

impl Manifest {
    /// A manifest without tools, of the type `vision`.
    pub fn new(id: &str, name: &str, version: &str, description: &str) -> Self {
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            version: version.to_owned(),
            description: description.to_owned(),
            kind: "vision".to_owned(),
            capabilities: Vec::new(),
            tools: Vec::new(),
            stream_tool: None,
            consumes: Vec::new(),
            produces: Vec::new(),
        }
    }

    /// Adds a tool.
    pub fn tool(mut self, tool: Tool) -> Self {
        self.tools.push(tool);
        self
    }

    /// Says which tool a stream runs on each frame.
    pub fn stream_tool(mut self, id: &str) -> Self {
        self.stream_tool = Some(id.to_owned());
        self
    }

    /// Adds a capability.
    pub fn capability(mut self, capability: &str) -> Self {
        self.capabilities.push(capability.to_owned());
        self
    }

    /// Adds an output of earlier plugins that it works on.
    pub fn consumes(mut self, kind: OutputKind) -> Self {
        self.consumes.push(kind);
        self
    }

    /// Adds an output that its stream tool gives.
    pub fn produces(mut self, kind: OutputKind) -> Self {
        self.produces.push(kind);
        self
    }

    /// The tool of that id.
    pub fn find_tool(&self, id: &str) -> Option<&Tool> {
        self.tools.iter().find(|tool| tool.id == id)
    }
}

impl Tool {
    /// A tool that takes a picture and nothing else.
    pub fn new(id: &str, title: &str, description: &str) -> Self {
        let nothing = || serde_json::json!({"type": "object", "properties": {}});
        Self {
            id: id.to_owned(),
            title: title.to_owned(),
            description: description.to_owned(),
            input_types: Vec::new(),
            inputs: nothing(),
            output_types: Vec::new(),
            outputs: nothing(),
            capabilities: Vec::new(),
        }
    }

    /// Says that the tool works on a picture: a stream's frame, or `frame_base64` of a call.
    pub fn takes_picture(mut self) -> Self {
        self.input_types.push("image".to_owned());
        self.inputs["properties"]["frame_base64"] = serde_json::json!({
            "type": "string",
            "description": "a JPEG or PNG picture in base64, with or without a data-URL prefix",
        });
        self
    }

    /// Describes an argument by its JSON schema.
    pub fn input(mut self, name: &str, schema: serde_json::Value) -> Self {
        self.inputs["properties"][name] = schema;
        self
    }

    /// Describes a part of the result by its JSON schema.
    pub fn output(mut self, name: &str, schema: serde_json::Value) -> Self {
        self.output_types.push(name.to_owned());
        self.outputs["properties"][name] = schema;
        self
    }
}
