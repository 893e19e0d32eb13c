// For matmul.wgsl: each pixel sees a window; what is outside of the picture is 0.
fn seen(channel: u32, row: u32, column: u32) -> f32 {
    // Before the picture, numbers wrap and are beyond it.
    if row < job.input_size.y && column < job.input_size.z {
        return arena[input_at(channel, row, column)];
    }
    return 0.0;
}

fn input_of(depth: u32, rows: vec4<u32>, columns: vec4<u32>) -> vec4<f32> {
    let taps = job.window.x * job.window.y;
    let channel = depth / taps;
    let tap = depth % taps;
    let down = tap / job.window.y * job.padding.z - job.padding.x;
    let right = tap % job.window.y * job.padding.w - job.padding.y;
    let y = rows * job.window.z + down;
    let x = columns * job.window.w + right;
    return vec4(
        seen(channel, y.x, x.x),
        seen(channel, y.y, x.y),
        seen(channel, y.z, x.z),
        seen(channel, y.w, x.w),
    );
}
