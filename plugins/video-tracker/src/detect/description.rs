use std::sync::Arc;

use serde::Deserialize;

use crate::preprocess::{ColorOrder, ModelInput, Padding};

/// What has to be known about an ONNX file to use it as a detector; the TOML
/// file beside it.
///
/// ```
/// # use keepsight_video_tracker::detect::{Family, ModelDescription};
/// let description = ModelDescription::parse(r#"
///     name = "a detector"
///     family = "yolox"
///     sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
///     classes = ["person", "", "car"]     # by column; "" is never reported
///     [input]
///     width = 416
///     height = 416
///     color = "bgr"
///     scale = 1.0                         # level × scale + offset
///     offset = 0.0
///     letterbox = 114.0                   # left out: the picture is stretched
/// "#).unwrap();
/// assert_eq!(description.family(), Family::Yolox);
/// assert_eq!(description.class_id("car"), Some(2));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ModelDescription {
    name: String,
    family: Family,
    sha256: String,
    input: ModelInput,
    classes: Vec<Option<Arc<str>>>,
}

/// How a model's outputs stand for boxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Family {
    /// Two outputs: `boxes`, 1 × anchors × 1 × 4 (top, left, bottom, right, in
    /// shares of the input), and `scores`, 1 × anchors × classes, through the
    /// sigmoid.
    Ssd,
    /// One output, 1 × cells × (5 + classes): centre and logarithm of the size
    /// against a grid of stride 8, then 16, then 32 (cells row by row), then
    /// objectness and classes, both through the sigmoid.
    Yolox,
}

impl ModelDescription {
    /// Reads a description.
    ///
    /// # Errors
    /// What is wrong with `text`, for a person.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wire: Wire = toml::from_str(text).map_err(|error| error.to_string())?;
        wire.check()?;
        let classes = wire.classes.into_iter();
        let padding = wire.input.letterbox.map_or(Padding::Stretch, Padding::LetterboxTopLeft);
        Ok(Self {
            name: wire.name,
            family: wire.family,
            sha256: wire.sha256.to_ascii_lowercase(),
            input: ModelInput {
                width: wire.input.width,
                height: wire.input.height,
                color_order: wire.input.color.into(),
                scale: wire.input.scale,
                offset: wire.input.offset,
                padding,
            },
            classes: classes.map(|name| (!name.is_empty()).then(|| name.into())).collect(),
        })
    }

    /// The model's name, for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How the outputs stand for boxes.
    pub fn family(&self) -> Family {
        self.family
    }

    /// SHA-256 of the ONNX file, 64 hexadecimal digits in lower case.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The picture that the model wants.
    pub fn input(&self) -> &ModelInput {
        &self.input
    }

    /// Columns of classes, used or not.
    pub fn class_columns(&self) -> usize {
        self.classes.len()
    }

    /// The name of the class in a column; `None` where the column is not used.
    pub fn class(&self, column: usize) -> Option<&Arc<str>> {
        self.classes.get(column)?.as_ref()
    }

    /// The column of a class.
    pub fn class_id(&self, name: &str) -> Option<u32> {
        let column = self.classes.iter().position(|class| class.as_deref() == Some(name))?;
        u32::try_from(column).ok()
    }

    /// The names of all classes that the model reports.
    pub fn class_names(&self) -> impl Iterator<Item = &str> {
        self.classes.iter().flatten().map(|name| &**name)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    name: String,
    family: Family,
    sha256: String,
    classes: Vec<String>,
    input: WireInput,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireInput {
    width: u32,
    height: u32,
    color: WireColor,
    scale: f32,
    offset: f32,
    letterbox: Option<f32>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WireColor {
    Rgb,
    Bgr,
}

impl From<WireColor> for ColorOrder {
    fn from(color: WireColor) -> Self {
        match color {
            WireColor::Rgb => Self::Rgb,
            WireColor::Bgr => Self::Bgr,
        }
    }
}

impl Wire {
    fn check(&self) -> Result<(), String> {
        let WireInput { width, height, scale, offset, letterbox, .. } = self.input;
        let sides = 1..=SIDE_MAX;
        if !sides.contains(&width) || !sides.contains(&height) {
            return Err(format!("input: {width}×{height} is not within 1–{SIDE_MAX}"));
        }
        if self.family == Family::Yolox && !(width.is_multiple_of(32) && height.is_multiple_of(32))
        {
            return Err(format!("input: {width}×{height} is no multiple of 32, as YOLOX needs"));
        }
        if !(scale.is_finite() && scale > 0.0 && offset.is_finite()) {
            return Err(format!("input: scale {scale} or offset {offset} makes no sense"));
        }
        if letterbox.is_some_and(|level| !(0.0..=255.0).contains(&level)) {
            return Err("input: letterbox is a level, 0–255".to_owned());
        }
        if self.sha256.len() != 64 || !self.sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err("sha256 is not 64 hexadecimal digits".to_owned());
        }
        if self.classes.len() > CLASSES_MAX {
            return Err(format!("more than {CLASSES_MAX} classes"));
        }
        if self.classes.iter().all(String::is_empty) {
            return Err("classes names none".to_owned());
        }
        Ok(())
    }
}

const SIDE_MAX: u32 = 4096;
const CLASSES_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        name = "x"
        family = "ssd"
        sha256 = "0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef"
        classes = ["person", "", "car"]
        [input]
        width = 300
        height = 300
        color = "rgb"
        scale = 0.5
        offset = -1.0
    "#;

    #[test]
    fn a_description_reads() {
        let description = ModelDescription::parse(GOOD).unwrap();
        assert_eq!(description.family(), Family::Ssd);
        assert!(description.sha256().starts_with("0123456789abcdef"));
        assert_eq!(description.input().padding, Padding::Stretch);
        assert_eq!(description.input().color_order, ColorOrder::Rgb);
        assert_eq!(description.class_columns(), 3);
        assert_eq!(description.class(1), None);
        assert_eq!(description.class_id("car"), Some(2));
        assert_eq!(description.class_id("dog"), None);
        assert_eq!(description.class_names().collect::<Vec<_>>(), ["person", "car"]);
    }

    #[track_caller]
    fn check(good: &str, bad: &str, said: &str) {
        let text = GOOD.replace(good, bad);
        assert_ne!(text, GOOD, "{good} is not there");
        let error = ModelDescription::parse(&text).unwrap_err();
        assert!(error.contains(said), "{error}");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        check("width = 300", "width = 0", "0×300 is not within 1–4096");
        check("height = 300", "height = 5000", "300×5000 is not within");
        check("\"ssd\"", "\"yolox\"", "300×300 is no multiple of 32");
        check("\"ssd\"", "\"detr\"", "unknown variant `detr`");
        check("scale = 0.5", "scale = 0.0", "scale 0 or offset -1");
        check("scale = 0.5", "scale = nan", "scale NaN");
        check("offset = -1.0", "offset = inf", "offset inf");
        check("offset = -1.0", "offset = -1.0\nletterbox = 256.0", "letterbox is a level");
        check("0123456789ABCDEF", "01234567", "sha256 is not 64");
        check("\"person\", \"\", \"car\"", "\"\"", "classes names none");
        check("name = \"x\"", "name = \"x\"\ncolour = 1", "unknown field `colour`");
    }
}
