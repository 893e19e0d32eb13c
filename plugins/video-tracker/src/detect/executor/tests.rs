//! Planning and the twin against the engine that runs on the CPU, and what is refused.

use rten::Model;
use rten_tensor::{Layout as _, NdTensorView, Tensor};

use super::cases::cases;
use super::*;
use crate::detect::onnx_fixture::{GraphFixture, Set};

/// The outputs by the engine: their shapes and elements.
pub(super) fn by_engine(
    bytes: &[u8],
    input: [usize; 4],
    tensor: &[f32],
) -> Vec<(Vec<usize>, Vec<f32>)> {
    let model = Model::load(bytes.to_vec()).unwrap();
    let view = NdTensorView::from_data(input, tensor);
    let inputs = vec![(model.input_ids()[0], view.into())];
    let outputs = model.run(inputs, model.output_ids(), None).unwrap();
    let read = |value| -> (Vec<usize>, Vec<f32>) {
        let tensor: Tensor<f32> = rten::Value::try_into(value).unwrap();
        (tensor.shape().to_vec(), tensor.into_data())
    };
    outputs.into_iter().map(read).collect()
}

/// The greatest difference, in units of the greatest element or of 1.
pub(super) fn difference(left: &[f32], right: &[f32]) -> f32 {
    assert_eq!(left.len(), right.len());
    let scale = right.iter().fold(1.0_f32, |scale, x| scale.max(x.abs()));
    let differences = left.iter().zip(right).map(|(l, r)| (l - r).abs() / scale);
    // Not a number is no small difference.
    differences.fold(0.0, |most, next| if next <= most { most } else { next })
}

#[test]
fn plans_compute_what_the_engine_does() {
    for case in cases() {
        let name = case.name;
        let plan = plan_model(&case.bytes, case.input).unwrap_or_else(|e| panic!("{name}: {e}"));
        let tensor = case.tensor();
        let found = plan.run_twin(&tensor);
        let expected = by_engine(&case.bytes, case.input, &tensor);
        assert_eq!(plan.outputs[0].shape, expected[0].0, "{name}");
        let off = difference(&found[0], &expected[0].1);
        assert!(off < 1e-5, "{name}: {off}\n{plan:?}");
        assert_eq!(plan.steps.len(), case.steps, "{name}: {:#?}", plan.steps);
    }
}

#[cfg(feature = "bundled-model")]
mod bundled {
    use super::*;
    use crate::detect::ModelFile;

    /// The model that is in the program, on any picture: the same boxes, and the best of each
    /// one's scores.
    #[test]
    fn the_bundled_detector_is_planned_and_computes_what_the_engine_does() {
        let file = ModelFile::bundled();
        check_detector(&file.bytes, file.description(), 102);
    }
}

/// A detector's plan, which has at most so many steps, against the engine.
fn check_detector(bytes: &[u8], description: &ModelDescription, steps_max: usize) {
    let plan = plan_detector(bytes, description).unwrap();
    assert!(plan.steps.len() <= steps_max, "{} steps", plan.steps.len());
    let tensor = any_picture(description);
    let found = plan.run_twin(&tensor);
    let outputs = by_engine(bytes, description.input().shape(), &tensor);
    let expected = expected_of(description, &outputs);
    for (found, expected) in found.iter().zip(&expected) {
        let off = difference(found, expected);
        assert!(off < 1e-3, "{off}");
    }
}

/// A picture with something everywhere.
pub(super) fn any_picture(description: &ModelDescription) -> Vec<f32> {
    let input = description.input();
    (0..input.elements())
        .map(|i| {
            let level = (i % 256 * (i / 90_000 + 1) + i / 300 % 300 * 3) % 256;
            level as f32 * input.scale + input.offset
        })
        .collect()
}

/// What decoding needs of the outputs, worked out from all of them.
pub(super) fn expected_of(
    description: &ModelDescription,
    outputs: &[(Vec<usize>, Vec<f32>)],
) -> [Vec<f32>; 2] {
    let columns = description.class_columns();
    let best = |scores: &[f32]| {
        let best = (0..columns).rev().max_by(|a, b| scores[*a].total_cmp(&scores[*b]));
        let best = best.expect("there are columns");
        [best as f32, scores[best]]
    };
    match outputs {
        [(_, boxes), (_, scores)] => {
            [boxes.clone(), scores.chunks_exact(columns).flat_map(best).collect()]
        }
        [(_, rows)] => {
            let rows = || rows.chunks_exact(5 + columns);
            [
                rows().flat_map(|row| row[..5].iter().copied()).collect(),
                rows().flat_map(|row| best(&row[5..])).collect(),
            ]
        }
        _ => panic!("a detector has one output or two"),
    }
}

/// Set KEEPSIGHT_TEST_YOLOX to the path of an ONNX file of that family with its description
/// beside it, and it is held against the engine too.
#[test]
fn a_yolox_detector_computes_what_the_engine_does() {
    let Some(file) = yolox("a_yolox_detector_computes_what_the_engine_does") else { return };
    check_detector(&file.bytes, file.description(), 140);
}

pub(super) fn yolox(test: &str) -> Option<crate::detect::ModelFile> {
    match std::env::var_os("KEEPSIGHT_TEST_YOLOX") {
        Some(path) => Some(crate::detect::ModelFile::read(path.as_ref()).unwrap()),
        None => {
            eprintln!("skipped {test}: KEEPSIGHT_TEST_YOLOX names no model");
            None
        }
    }
}

#[track_caller]
fn refused(bytes: &[u8], input: [usize; 4], said: &str) {
    let error = plan_model(bytes, input).unwrap_err().to_string();
    assert!(error.contains(said), "{error}");
}

#[test]
fn what_there_is_no_code_for_is_named() {
    let graph = || GraphFixture::new(&[1, 4, 6, 6]);
    let (size, one) = ([1, 4, 6, 6], &["y"]);
    let node = |operator: &str, attributes: &[(&str, Set<'_>)]| {
        graph()
            .weights("w", &[4, 2, 3, 3])
            .floats("nan", &[], &[f32::NAN])
            .integers("list", &[1, -1, -1])
            .node(operator, &["x", "w", "w"], one, attributes)
            .bytes(one)
    };
    refused(&node("Telepathy", &[]), size, "no code for the operator Telepathy");
    refused(&node("Conv", &[("group", Set::Integer(2))]), size, "4 channels in 2 groups become 4");
    refused(&node("Conv", &[]), size, "4 channels in 1 groups");
    refused(&node("Conv", &[("strides", Set::Integers(&[1, 1, 1]))]), size, "4 channels in 1");
    refused(&node("MaxPool", &[]), size, "it has no window");
    refused(&node("Sum", &[]), size, "operator Sum is used in a way there is no code for");
    refused(&node("Reshape", &[]), size, "input 1 is no list of integers");
    refused(&node("Transpose", &[("perm", Set::Integers(&[0, 1, 2, 2]))]), size, "no order");
    refused(&node("Split", &[("axis", Set::Integer(4))]), size, "no axis 4 of 4");
    refused(&node("Concat", &[("axis", Set::Integer(1))]), size, "[4, 2, 3, 3] doesn't fit");
    refused(&node("Resize", &[("mode", Set::Text("linear"))]), size, "not the nearest");
    // By the floor of centres, an element in two is its neighbour.
    let floor = [("nearest_mode", Set::Text("floor"))];
    refused(&node("Resize", &floor), size, "found in another way");
    let pool = [("kernel_shape", Set::Integers(&[7, 1]))];
    refused(&node("MaxPool", &pool), size, "larger than [6, 6]");
    let padded = [("kernel_shape", Set::Integers(&[2, 2])), ("pads", Set::Integers(&[2, 0, 0, 0]))];
    refused(&node("MaxPool", &padded), size, "more padding than window");

    let two = |operator: &str, second: &str| {
        graph()
            .floats("nan", &[], &[f32::NAN])
            .integers("list", &[1, -1, -1])
            .integers("odd", &[1, 5, -1])
            .node(operator, &["x", second], one, &[])
            .bytes(one)
    };
    refused(&two("Clip", "nan"), size, "not a number");
    refused(&two("Reshape", "list"), size, "a negative size");
    refused(&two("Reshape", "odd"), size, "can't become [1, 5, -1]");
    refused(&two("Add", "list"), size, "computes with integers");
    refused(&two("Add", "z"), size, "nothing computes \"z\"");
    refused(&two("Mul", ""), size, "it has no input 1");
    refused(&two("Squeeze", "list"), size, "has more along the axes");

    let twice = graph().node("Relu", &["x"], one, &[]).node("Exp", &["x"], one, &[]).bytes(one);
    refused(&twice, size, "\"y\" is computed twice");
    refused(&graph().bytes(one), size, "it gives y, y is needed");
    refused(&graph().bytes(&[]), size, "it gives 0 outputs");
    refused(b"RTEN", size, "it is no ONNX model");
}

/// A file of a few bytes may ask for any sizes.
#[test]
fn what_is_too_large_is_refused_and_not_tried() {
    let one = &["y"];
    let scales = |factor: f32| {
        GraphFixture::new(&[1, 1, 4, 4]).floats("roi", &[0], &[]).floats(
            "scales",
            &[4],
            &[1.0, 1.0, factor, factor],
        )
    };
    let way = [
        ("nearest_mode", Set::Text("floor")),
        ("coordinate_transformation_mode", Set::Text("asymmetric")),
    ];
    let large = scales(4096.0).node("Resize", &["x", "roi", "scales"], one, &way).bytes(one);
    refused(&large, [1, 1, 4, 4], "its output would be");
    // Each fits, and not both at once.
    let both = scales(1024.0)
        .node("Resize", &["x", "roi", "scales"], &["a"], &way)
        .node("Exp", &["a"], &["b"], &[])
        .node("Add", &["a", "b"], one, &[])
        .bytes(one);
    refused(&both, [1, 1, 4, 4], "elements of memory, 33554432 is the most");
    let padded = GraphFixture::new(&[1, 1, 4, 4])
        .weights("w", &[1, 1, 1, 1])
        .node("Conv", &["x", "w"], one, &[("pads", Set::Integers(&[i64::MAX, 0, 0, 0]))])
        .bytes(one);
    refused(&padded, [1, 1, 4, 4], "are no sizes");
}
