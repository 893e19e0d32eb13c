// What all kernels of the executor begin with: the memory that they work on, and what becomes of
// each element in the end. `Job` is each kernel's own; its fields are written by job.rs.

@group(0) @binding(0) var<uniform> job: Job;
// What is read and never written.
@group(0) @binding(1) var<storage, read> weights: array<f32>;
// Everything that is computed; no job reads what it writes.
@group(0) @binding(2) var<storage, read_write> arena: array<f32>;

const LINEAR = 0u;
const CLIP = 1u;
const LEAKY = 2u;
const SIGMOID = 3u;
const SILU = 4u;
const EXPONENTIAL = 5u;

// See `Activation` in graph.rs. `bounds` are low and high, or the slope and nothing.
fn activated(kind: u32, bounds: vec2<f32>, x: f32) -> f32 {
    switch kind {
        case CLIP: { return min(max(x, bounds.x), bounds.y); }
        case LEAKY: { return max(x, 0.0) + bounds.x * min(x, 0.0); }
        case SIGMOID: { return 1.0 / (1.0 + exp(-x)); }
        case SILU: { return x / (1.0 + exp(-x)); }
        case EXPONENTIAL: { return exp(x); }
        default: { return x; }
    }
}

// The place of an invocation among those of all workgroups of 64, which are counted row by row.
fn invocation(group: vec3<u32>, groups: vec3<u32>, lane: u32) -> u32 {
    return (group.y * groups.x + group.x) * 64u + lane;
}
