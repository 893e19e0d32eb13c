//! ONNX files, read within bounds: whatever the bytes are, the answer is a model or a reason.
//!
//! [`outline_of`] walks a file's outline before the engine reads it; [`OnnxModel`] reads the
//! parts of it that our own executor needs: nodes, attributes, weights, shapes.
//! Encoding: protobuf.dev, "Encoding"; field numbers: onnx.proto3 (IR version 8).

#[cfg(any(feature = "gpu", test, fuzzing))]
mod model;
mod outline;
#[cfg(any(feature = "gpu", test, fuzzing))]
mod tensor;
mod wire;

#[cfg(any(feature = "gpu", test, fuzzing))]
pub(in crate::detect) use model::{Attribute, OnnxModel, OnnxNode};
pub(crate) use outline::check as outline_of;
#[cfg(any(feature = "gpu", test, fuzzing))]
pub(in crate::detect) use tensor::{OnnxTensor, TensorData};
