//! Our own executor of detectors, for GPUs: an ONNX file in, a plan of few steps out, run by
//! kernels in WGSL on the device that the other kernels use.
//!
//! A file goes through [`lower`] (operators become operations with known shapes), [`fuse`] (fewer
//! operations that compute the same), [`head`] (what of the outputs is read back) and [`plan`]
//! (steps in one arena of memory). What there is no code for is refused on the way, by name. Each
//! kernel has a twin in [`twin`], so that all but the kernels is tested without a GPU.

mod arena;
mod error;
mod fuse;
mod graph;
#[cfg(any(feature = "gpu", test))]
mod head;
mod lower;
mod place;
mod plan;
mod view;

pub use error::PlanError;
#[cfg(feature = "gpu")]
pub(in crate::detect) use gpu::{GpuNetwork, NetworkRun, Part};
pub(in crate::detect) use plan::Plan;

#[cfg(feature = "gpu")]
mod gpu;
#[cfg(any(test, fuzzing))]
mod twin;

#[cfg(test)]
mod cases;
#[cfg(test)]
mod tests;

#[cfg(any(feature = "gpu", test))]
use super::description::ModelDescription;

/// Plans a detector: what is left of its outputs is what decoding needs, see [`head`].
#[cfg(any(feature = "gpu", test))]
pub(in crate::detect) fn plan_detector(
    bytes: &[u8],
    description: &ModelDescription,
) -> Result<Plan, PlanError> {
    let wanted = head::outputs_of(description.family());
    let mut graph = lower::lower(bytes, description.input().shape(), wanted)?;
    head::shorten(&mut graph, description)?;
    fuse::fuse(&mut graph);
    plan::plan(&graph)
}

/// Plans a model of any kind, all of whose outputs are wanted as they are.
#[cfg(any(test, fuzzing))]
fn plan_model(bytes: &[u8], input: [usize; 4]) -> Result<Plan, PlanError> {
    let mut graph = lower::lower(bytes, input, &[])?;
    fuse::fuse(&mut graph);
    plan::plan(&graph)
}

/// Plans a model for a small input and runs it, unless that is more than `work_max` multiplications
/// and bytes; how many steps it has.
#[cfg(any(test, fuzzing))]
pub(crate) fn try_plan(bytes: &[u8], work_max: u64) -> Result<usize, PlanError> {
    let input = [1, 3, 8, 8];
    let plan = plan_model(bytes, input)?;
    let work = plan.work();
    if work.arena_bytes + work.bytes + work.multiply_adds <= work_max {
        let outputs = plan.run_twin(&vec![0.5; input.iter().product()]);
        assert_eq!(outputs.len(), plan.outputs.len());
    }
    Ok(plan.steps.len())
}
