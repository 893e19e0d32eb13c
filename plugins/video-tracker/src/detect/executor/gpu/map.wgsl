// Element by element: copies, sums, products, activations, enlargement. One invocation for each.

struct Job {
    size: vec4<u32>,
    output_strides: vec4<u32>,
    left_strides: vec4<u32>,
    right_strides: vec4<u32>,
    // By how much places are divided before `left` is read.
    divisors: vec4<u32>,
    output: u32,
    left: u32,
    right: u32,
    // 0 where there is no right, else one of the constants below.
    binary: u32,
    left_is_weight: u32,
    right_is_weight: u32,
    elements: u32,
    activation: u32,
    bounds: vec2<f32>,
}

const ADD = 1u;
const SUBTRACT = 2u;
const MULTIPLY = 3u;
const DIVIDE = 4u;

fn at(start: u32, place: vec4<u32>, strides: vec4<u32>) -> u32 {
    let steps = place * strides;
    return start + steps.x + steps.y + steps.z + steps.w;
}

fn element_of(is_weight: u32, place: u32) -> f32 {
    if is_weight != 0u {
        return weights[place];
    }
    return arena[place];
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let element = invocation(group, groups, lane);
    if element >= job.elements {
        return;
    }
    let above = vec4(
        element / (job.size.y * job.size.z * job.size.w),
        element / (job.size.z * job.size.w),
        element / job.size.w,
        element,
    );
    let place = above % job.size;
    var value = element_of(job.left_is_weight, at(job.left, place / job.divisors, job.left_strides));
    if job.binary != 0u {
        let right = element_of(job.right_is_weight, at(job.right, place, job.right_strides));
        switch job.binary {
            case ADD: { value += right; }
            case SUBTRACT: { value -= right; }
            case MULTIPLY: { value *= right; }
            default: { value /= right; }
        }
    }
    arena[at(job.output, place, job.output_strides)] =
        activated(job.activation, job.bounds, value);
}
