use std::borrow::Cow;
use std::path::{Path, PathBuf};

use keepsight_contract::Scope;
use rten::{Dimension, LoadErrorKind, Model, NodeId, RunOptions, TryFromValueError};
use rten_tensor::{Layout as _, NdTensorView, Tensor};

use super::description::{Family, ModelDescription};
use super::model_error::ModelError;
use super::model_file::ModelFile;
use super::pool::ScopedPool;
use super::{onnx, yolox};

/// A loaded model that was seen to run, with the shapes that its description
/// means.
pub(super) struct Network {
    model: Model,
    pool: ScopedPool,
    input: NodeId,
    outputs: Vec<NodeId>,
    input_shape: [usize; 4],
}

/// The engine gave no result.
#[derive(Debug, thiserror::Error)]
#[error("the network failed: {0}")]
pub(super) struct RunFailure(String);

impl Network {
    /// Loads the model, checks it against its description and runs it once.
    pub(super) fn load(
        file: ModelFile,
        threads: usize,
        scope: &Scope,
    ) -> Result<(Self, ModelDescription), ModelError> {
        let ModelFile { path, bytes, description } = file;
        onnx::outline_of(&bytes)
            .map_err(|reason| ModelError::NotOnnx { path: path.clone(), reason })?;
        let loaded = match bytes {
            Cow::Borrowed(bytes) => Model::load_static_slice(bytes),
            Cow::Owned(bytes) => Model::load(bytes),
        };
        let model = loaded.map_err(|error| load_error(&path, &error))?;

        let input = input_of(&model, &path, &description)?;
        let outputs = outputs_of(&model, &path, description.family())?;
        let pool = ScopedPool::new(threads, scope);
        let network =
            Self { model, pool, input, outputs, input_shape: description.input().shape() };
        network.try_out(&path, &description)?;
        Ok((network, description))
    }

    /// Runs the model: the outputs' elements in row-major order, `boxes` and
    /// `scores` for the SSD family.
    pub(super) fn run(&self, tensor: &[f32]) -> Result<Vec<Vec<f32>>, RunFailure> {
        let outputs = self.run_shaped(tensor)?;
        Ok(outputs.into_iter().map(Tensor::into_data).collect())
    }

    fn run_shaped(&self, tensor: &[f32]) -> Result<Vec<Tensor<f32>>, RunFailure> {
        let view = NdTensorView::from_data(self.input_shape, tensor);
        let options = RunOptions::default().with_thread_pool(Some(self.pool.shared()));
        self.model
            .run(vec![(self.input, view.into())], &self.outputs, Some(options))
            .map_err(|error| RunFailure(error.to_string()))?
            .into_iter()
            .map(|value| {
                let tensor: Result<Tensor<f32>, TryFromValueError> = value.try_into();
                tensor.map_err(|error| RunFailure(error.to_string()))
            })
            .collect()
    }

    /// A file can load and still not run, or give something else.
    fn try_out(&self, path: &Path, description: &ModelDescription) -> Result<(), ModelError> {
        let tensor = vec![0.0; description.input().elements()];
        let outputs = self.run_shaped(&tensor).map_err(|RunFailure(reason)| {
            ModelError::Unsupported { path: path.to_owned(), reason }
        })?;
        let shapes: Vec<_> = outputs.iter().map(|output| output.shape().to_vec()).collect();
        let columns = description.class_columns();
        let (expected, fits) = match description.family() {
            Family::Ssd => {
                let fits = shapes[0].len() == 4
                    && shapes[0] == [1, shapes[0][1], 1, 4]
                    && shapes[1] == [1, shapes[0][1], columns];
                (format!("1×n×1×4 and 1×n×{columns}"), fits)
            }
            Family::Yolox => {
                let wanted = [1, yolox::cells(description.input()), 5 + columns];
                (shape_text(&wanted), shapes[0] == wanted)
            }
        };
        if fits {
            return Ok(());
        }
        let found: Vec<_> = shapes.iter().map(|shape| shape_text(shape)).collect();
        Err(ModelError::Outputs { path: path.to_owned(), expected, found: found.join(" and ") })
    }
}

fn input_of(
    model: &Model,
    path: &Path,
    description: &ModelDescription,
) -> Result<NodeId, ModelError> {
    let wanted = description.input().shape();
    let fits = |found: &[Dimension]| {
        found.len() == wanted.len()
            && found.iter().zip(wanted).all(|(found, wanted)| match found {
                Dimension::Fixed(size) => *size == wanted,
                Dimension::Symbolic(_) => true,
            })
    };
    let found = match model.input_ids() {
        [input] => match model.input_shape(0) {
            // A model that says nothing is judged by its trial run.
            None => return Ok(*input),
            Some(shape) if fits(&shape) => return Ok(*input),
            Some(shape) => {
                let sizes = shape.iter().map(|dimension| match dimension {
                    Dimension::Fixed(size) => size.to_string(),
                    Dimension::Symbolic(name) => name.clone(),
                });
                sizes.collect::<Vec<_>>().join("×")
            }
        },
        inputs => format!("{} inputs", inputs.len()),
    };
    Err(ModelError::Input { path: path.to_owned(), expected: shape_text(&wanted), found })
}

fn outputs_of(model: &Model, path: &Path, family: Family) -> Result<Vec<NodeId>, ModelError> {
    let outputs = model.output_ids();
    let named = |name: &str| {
        let name_of = |id: &NodeId| model.node_info(*id).and_then(|node| node.name());
        outputs.iter().copied().find(|id| name_of(id) == Some(name))
    };
    let (expected, chosen) = match family {
        Family::Ssd => (
            "outputs named boxes and scores",
            named("boxes").zip(named("scores")).map(|(b, s)| vec![b, s]),
        ),
        Family::Yolox => ("one output", (outputs.len() == 1).then(|| outputs.to_vec())),
    };
    chosen.ok_or_else(|| {
        let names = outputs
            .iter()
            .map(|id| model.node_info(*id).and_then(|node| node.name()).unwrap_or("one unnamed"));
        ModelError::Outputs {
            path: path.to_owned(),
            expected: expected.to_owned(),
            found: format!("outputs named {}", names.collect::<Vec<_>>().join(", ")),
        }
    })
}

fn load_error(path: &Path, error: &rten::LoadError) -> ModelError {
    let (path, reason) = (PathBuf::from(path), error.to_string());
    match error.kind() {
        LoadErrorKind::ParseError
        | LoadErrorKind::UnknownFileType
        | LoadErrorKind::FormatNotEnabled => ModelError::NotOnnx { path, reason },
        _ => ModelError::Unsupported { path, reason },
    }
}

fn shape_text(shape: &[usize]) -> String {
    shape.iter().map(usize::to_string).collect::<Vec<_>>().join("×")
}
