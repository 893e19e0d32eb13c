// The job of a convolution or a pool: from picture to picture.

struct Job {
    // Start, then strides of channels, rows and columns.
    input: vec4<u32>,
    output: vec4<u32>,
    residual: vec4<u32>,
    // Channels, rows, columns, and in the end their product.
    input_size: vec4<u32>,
    output_size: vec4<u32>,
    // Rows and columns of the window, then its steps.
    window: vec4<u32>,
    // Rows and columns before the picture, then the distances within the window.
    padding: vec4<u32>,
    weights: u32,
    bias: u32,
    has_residual: u32,
    activation: u32,
    bounds: vec2<f32>,
}

fn input_at(channel: u32, row: u32, column: u32) -> u32 {
    return job.input.x + channel * job.input.y + row * job.input.z + column * job.input.w;
}

// Ends a convolution: bias, activation, residual.
fn finish(channel: u32, row: u32, column: u32, sum: f32) {
    let place = vec3(channel, row, column);
    var value = activated(job.activation, job.bounds, sum + weights[job.bias + channel]);
    if job.has_residual != 0u {
        let steps = place * job.residual.yzw;
        value += arena[job.residual.x + steps.x + steps.y + steps.z];
    }
    let steps = place * job.output.yzw;
    arena[job.output.x + steps.x + steps.y + steps.z] = value;
}
