// A convolution over all channels as a product of matrices: output channels × depth, which is
// input channels × window, by depth × pixels. A workgroup computes a tile of OUTPUTS × PIXELS,
// DEPTH at a time through workgroup memory; an invocation has 4 × 4 of them.
//
// OUTPUTS and PIXELS, multiples of 4 and at most 64, DEPTH, a multiple of 16, and `input_of`, which
// reads one element of the second matrix, come from kernels.rs.

const OUTPUT_QUADS = OUTPUTS / 4u;
const PIXEL_QUADS = PIXELS / 4u;
const LANES = OUTPUT_QUADS * PIXEL_QUADS;

// Four output channels, and four pixels, at each depth: at most 16,352 bytes together.
var<workgroup> weight_tile: array<vec4<f32>, DEPTH * OUTPUT_QUADS>;
var<workgroup> input_tile: array<vec4<f32>, DEPTH * PIXEL_QUADS>;

fn weight_of(depth: u32, output: u32) -> f32 {
    if output < job.output_size.x {
        return weights[job.weights + depth * job.output_size.x + output];
    }
    return 0.0;
}

fn finish_four(channel: u32, rows: vec4<u32>, columns: vec4<u32>, pixel: u32, sums: vec4<f32>) {
    if channel >= job.output_size.x {
        return;
    }
    let pixels = job.output_size.y * job.output_size.z;
    if pixel < pixels { finish(channel, rows.x, columns.x, sums.x); }
    if pixel + 1u < pixels { finish(channel, rows.y, columns.y, sums.y); }
    if pixel + 2u < pixels { finish(channel, rows.z, columns.z, sums.z); }
    if pixel + 3u < pixels { finish(channel, rows.w, columns.w, sums.w); }
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first_output = group.z * OUTPUTS;
    let first_pixel = (group.y * groups.x + group.x) * PIXELS;
    let depth = job.input_size.x * job.window.x * job.window.y;

    // LANES is a multiple of both numbers of quads, so an invocation loads the same four pixels
    // at every depth.
    let pixel = first_pixel + lane % PIXEL_QUADS * 4u;
    let pixels = vec4(pixel, pixel + 1u, pixel + 2u, pixel + 3u);
    let rows = pixels / job.output_size.z;
    let columns = pixels % job.output_size.z;
    let loaded_output = first_output + lane % OUTPUT_QUADS * 4u;

    let output_quad = lane / PIXEL_QUADS;
    let pixel_quad = lane % PIXEL_QUADS;
    var sums_0 = vec4(0.0);
    var sums_1 = vec4(0.0);
    var sums_2 = vec4(0.0);
    var sums_3 = vec4(0.0);
    for (var start = 0u; start < depth; start += DEPTH) {
        for (var at = lane; at < DEPTH * OUTPUT_QUADS; at += LANES) {
            let here = start + at / OUTPUT_QUADS;
            var four = vec4(0.0);
            if here < depth {
                four = vec4(
                    weight_of(here, loaded_output),
                    weight_of(here, loaded_output + 1u),
                    weight_of(here, loaded_output + 2u),
                    weight_of(here, loaded_output + 3u),
                );
            }
            weight_tile[at] = four;
        }
        for (var at = lane; at < DEPTH * PIXEL_QUADS; at += LANES) {
            let here = start + at / PIXEL_QUADS;
            var four = vec4(0.0);
            if here < depth {
                four = input_of(here, rows, columns);
            }
            input_tile[at] = four;
        }
        workgroupBarrier();
        for (var i = 0u; i < DEPTH; i++) {
            let weight = weight_tile[i * OUTPUT_QUADS + output_quad];
            let input = input_tile[i * PIXEL_QUADS + pixel_quad];
            sums_0 += weight.x * input;
            sums_1 += weight.y * input;
            sums_2 += weight.z * input;
            sums_3 += weight.w * input;
        }
        workgroupBarrier();
    }
    let output = first_output + output_quad * 4u;
    finish_four(output, rows, columns, pixel, sums_0);
    finish_four(output + 1u, rows, columns, pixel, sums_1);
    finish_four(output + 2u, rows, columns, pixel, sums_2);
    finish_four(output + 3u, rows, columns, pixel, sums_3);
}
