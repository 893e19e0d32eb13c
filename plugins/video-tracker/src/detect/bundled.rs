use std::borrow::Cow;
use std::path::PathBuf;

use super::description::ModelDescription;
use super::model_file::ModelFile;

impl ModelFile {
    /// The model inside this program: SSDLite-MobileNetV2 at 300 × 300, 80
    /// classes of COCO.
    pub fn bundled() -> Self {
        Self {
            path: PathBuf::from("ssdlite_mobilenet_v2_coco_300.fp16.onnx"),
            bytes: Cow::Borrowed(MODEL),
            description: ModelDescription::parse(DESCRIPTION)
                .expect("the description is the one that the tests read"),
        }
    }
}

const MODEL: &[u8] = include_bytes!("../../models/ssdlite_mobilenet_v2_coco_300.fp16.onnx");
const DESCRIPTION: &str = include_str!("../../models/ssdlite_mobilenet_v2_coco_300.fp16.toml");
