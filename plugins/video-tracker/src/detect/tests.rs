//! Loading, what can be wrong with a model, and the bundled one.

use std::fs;
use std::path::Path;

use keepsight_contract::testing::RecordingHost;
use keepsight_contract::{InitError, Scope};
use tempfile::tempdir;

use super::onnx_fixture::{OnnxFixture, write_model};
use super::*;

const SSD: &str = r#"
    name = "fixture"
    family = "ssd"
    classes = ["person", "car"]
    [input]
    width = 32
    height = 32
    color = "rgb"
    scale = 1.0
    offset = 0.0
"#;

const RELU: OnnxFixture = OnnxFixture {
    operator: "Relu",
    node_inputs: &["x"],
    node_outputs: &["y"],
    inputs: &[("x", &[1, 3, 32, 32])],
    outputs: &["y"],
};

fn scope() -> Scope {
    RecordingHost::new().host().scope()
}

fn load(path: &Path) -> Result<Detector, ModelError> {
    Detector::load(ModelFile::read(path)?, 1, &scope())
}

/// Loads a fixture, which fails, and says how.
fn error_of(bytes: &[u8], description: &str) -> ModelError {
    let folder = tempdir().unwrap();
    let error = load(&write_model(folder.path(), bytes, description)).unwrap_err();
    assert!(error.to_string().contains("model."), "{error} names no file");
    assert!(!error.hint().is_empty());
    error
}

#[test]
fn a_missing_file_is_named() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    let missing = load(&path).unwrap_err();
    assert!(matches!(&missing, ModelError::Missing { path } if path.ends_with("model.toml")));

    write_model(folder.path(), b"", SSD);
    fs::remove_file(&path).unwrap();
    let missing = load(&path).unwrap_err();
    assert!(matches!(&missing, ModelError::Missing { path } if path.ends_with("model.onnx")));
    let InitError::Unmet(finding) = missing.unmet() else { panic!("it is nothing of ours") };
    assert_eq!(finding.code, "dependency.model_missing");
    assert!(finding.reason.contains("model.onnx") && finding.subject.contains("model.onnx"));
}

#[test]
fn what_cannot_be_read_is_named() {
    let folder = tempdir().unwrap();
    let path = write_model(folder.path(), b"", SSD);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let error = load(&path).unwrap_err();
    assert!(matches!(error, ModelError::Unreadable { .. }), "{error}");
    assert!(error.finding().reason.contains("directory"), "{:?}", error.finding());
}

#[test]
fn what_is_too_large_is_not_read() {
    let folder = tempdir().unwrap();
    let path = write_model(folder.path(), b"", SSD);
    let description = path.with_extension("toml");
    fs::File::options().write(true).open(description).unwrap().set_len(1 << 40).unwrap();
    let error = load(&path).unwrap_err();
    assert!(matches!(error, ModelError::TooLarge { .. }), "{error}");
}

#[test]
fn a_wrong_description_is_explained() {
    let error = error_of(b"", "colour = 1");
    assert!(matches!(error, ModelError::Description { .. }), "{error}");
    let folder = tempdir().unwrap();
    let path = write_model(folder.path(), b"", SSD);
    fs::write(path.with_extension("toml"), [0xff]).unwrap();
    assert!(load(&path).unwrap_err().to_string().ends_with("model.toml: is not UTF-8"));
}

#[test]
fn a_truncated_file_is_not_the_one_described() {
    let folder = tempdir().unwrap();
    let bytes = RELU.bytes();
    let path = write_model(folder.path(), &bytes, SSD);
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let error = load(&path).unwrap_err();
    assert!(matches!(error, ModelError::Hash { .. }), "{error}");
    assert_eq!(error.code(), "dependency.model_invalid");
}

#[test]
fn what_is_no_onnx_is_said_to_be_none() {
    for bytes in [&b"not a model at all"[..], b"", &[0xff; 64], b"RTEN and something"] {
        let error = error_of(bytes, SSD);
        assert!(matches!(error, ModelError::NotOnnx { .. }), "{bytes:?}: {error}");
    }
    let bytes = RELU.bytes();
    let error = error_of(&bytes[..bytes.len() / 2], SSD);
    assert!(matches!(error, ModelError::NotOnnx { .. }), "{error}");
}

#[test]
fn an_unknown_operator_is_named() {
    let error = error_of(&OnnxFixture { operator: "Telepathy", ..RELU }.bytes(), SSD);
    assert!(matches!(error, ModelError::Unsupported { .. }), "{error}");
    assert!(error.to_string().contains("Telepathy"), "{error}");
}

#[test]
fn a_model_that_loads_and_does_not_run_is_found_out() {
    // Matrices of 32 × 64 can't be multiplied with each other.
    let fixture = OnnxFixture {
        operator: "MatMul",
        node_inputs: &["x", "x"],
        inputs: &[("x", &[1, 3, 32, 64])],
        outputs: &["y"],
        ..RELU
    };
    let description = SSD.replace("ssd", "yolox").replace("width = 32", "width = 64");
    let error = error_of(&fixture.bytes(), &description);
    assert!(matches!(error, ModelError::Unsupported { .. }), "{error}");
    assert!(error.to_string().contains("first matrix"), "{error}");
}

#[test]
fn another_input_than_described_is_found_out() {
    let error = error_of(&RELU.bytes(), &SSD.replace("height = 32", "height = 48"));
    let said = error.to_string();
    assert!(matches!(error, ModelError::Input { .. }), "{said}");
    assert!(said.ends_with("takes 1×3×32×32, its description says 1×3×48×32"), "{said}");

    let two = OnnxFixture {
        operator: "Add",
        node_inputs: &["x", "z"],
        inputs: &[("x", &[1, 3, 32, 32]), ("z", &[1, 3, 32, 32])],
        ..RELU
    };
    let said = error_of(&two.bytes(), SSD).to_string();
    assert!(said.contains("takes 2 inputs"), "{said}");
}

#[test]
fn other_outputs_than_the_family_has_are_found_out() {
    let error = error_of(&RELU.bytes(), SSD);
    let said = error.to_string();
    assert!(matches!(error, ModelError::Outputs { .. }), "{said}");
    assert!(said.contains("gives outputs named y"), "{said}");

    let said = error_of(&RELU.bytes(), &SSD.replace("ssd", "yolox")).to_string();
    assert!(said.contains("gives 1×3×32×32, its family and classes mean 1×21×7"), "{said}");
}

#[cfg(feature = "bundled-model")]
mod bundled {
    use std::time::{Duration, Instant};

    use keepsight_contract::testing::frames;
    use keepsight_contract::{Detection, Frame};
    use sha2::{Digest, Sha256};

    use super::super::model_file::hexadecimal;
    use super::super::network::Network;
    use super::*;

    #[test]
    fn its_description_is_its_own() {
        let model = ModelFile::bundled();
        assert_eq!(hexadecimal(&Sha256::digest(&model.bytes)), model.description().sha256());
        assert_eq!(model.description().class_columns(), 90);
        assert_eq!(model.description().class_names().count(), 80);
        assert_eq!(model.description().class_id("person"), Some(0));
        assert_eq!(model.description().class_id("toothbrush"), Some(89));
    }

    #[test]
    fn the_description_of_yolox_nano_reads() {
        let text = include_str!("../../models/yolox_nano.toml");
        let description = ModelDescription::parse(text).unwrap();
        assert_eq!(description.class_columns(), 80);
        assert_eq!(description.class_id("toothbrush"), Some(79));
    }

    /// The expected numbers are onnxruntime 1.27's for the same file and tensor.
    #[test]
    fn its_outputs_are_those_of_the_reference_runtime() {
        let (network, description) = Network::load(ModelFile::bundled(), 2, &scope()).unwrap();
        let mut tensor = vec![0.0; description.input().elements()];
        for (i, element) in tensor.iter_mut().enumerate() {
            let (color, row, column) = (i / 90_000, i / 300 % 300, i % 300);
            *element = ((column * (color + 1) + row * 3) % 256) as f32 / 127.5 - 1.0;
        }
        let outputs = network.run(&tensor).unwrap();
        let (boxes, scores) = (&outputs[0], &outputs[1]);
        for (anchor, expected) in [
            (0, [0.004_155_7, 0.002_486_6, 0.045_581_3, 0.040_831_2]),
            (500, [0.313_166_1, 0.673_398_9, 0.580_527_9, 0.847_748_1]),
            (1500, [0.539_765_4, 0.679_894_3, 0.761_026, 1.035_826_3]),
            (1916, [0.011_666_1, 0.043_536_9, 0.987_238_7, 0.991_315_2]),
        ] {
            for (found, expected) in boxes[anchor * 4..].iter().zip(expected) {
                assert!((found - expected).abs() < 1e-4, "anchor {anchor}: {found} {expected}");
            }
        }
        for (anchor, column, expected) in [
            (1911, 6, 0.113_546_4),
            (1916, 6, 0.101_372_9),
            (1913, 60, 0.091_511_2),
            (0, 0, 0.007_209_6),
        ] {
            let found = scores[anchor * 90 + column];
            assert!((found - expected).abs() < 1e-4, "anchor {anchor}: {found} {expected}");
        }
    }

    fn detect(frame: &Frame, options: &DetectOptions) -> Vec<Detection> {
        let detector = Detector::load(ModelFile::bundled(), 2, &scope()).unwrap();
        let mut path = DetectPath::cpu(detector.input());
        let mut scratch = DetectScratch::default();
        let deadline = Instant::now() + Duration::from_secs(60);
        detector.detect(&mut scratch, &mut path, frame, options, deadline).unwrap()
    }

    /// Everything that the model has, however faint: what decoding makes of it
    /// must hold for any picture.
    #[test]
    fn detections_keep_their_promises() {
        let frame =
            frames::rgb(321, 241, |x, y| [(x * 7 % 256) as u8, (y * 5) as u8, (x ^ y) as u8]);
        let options =
            DetectOptions { confidence_min: 0.001, detections_max: 40, ..DetectOptions::default() };
        let found = detect(&frame, &options);
        assert_eq!(found.len(), 40);
        for detection in &found {
            let [left, top, right, bottom] = detection.bbox.corners();
            assert!(detection.bbox.is_valid(), "{detection:?}");
            assert!(left >= 0.0 && top >= 0.0, "{detection:?}");
            assert!(right <= 321.001 && bottom <= 241.001, "{detection:?}");
            assert!((0.001..=1.0).contains(&detection.confidence), "{detection:?}");
        }
        assert!(found.is_sorted_by(|a, b| a.confidence >= b.confidence));
        for (i, detection) in found.iter().enumerate() {
            for better in found[..i].iter().filter(|better| better.class == detection.class) {
                assert!(better.bbox.iou(&detection.bbox) <= 0.6, "{better:?} {detection:?}");
            }
        }
        assert_eq!(detect(&frame, &options), found, "the same picture gives the same boxes");

        let class = found[3].class_id;
        let only = detect(&frame, &DetectOptions { classes: vec![class], ..options });
        assert!(!only.is_empty() && only.iter().all(|detection| detection.class_id == class));
    }
}
