// For matmul.wgsl: each pixel sees itself. Pixels behind the last are read as the last.
fn input_of(depth: u32, rows: vec4<u32>, columns: vec4<u32>) -> vec4<f32> {
    let start = job.input.x + depth * job.input.y;
    let last = job.input_size.yz - 1u;
    let at = min(rows, vec4(last.x)) * job.input.z + min(columns, vec4(last.y)) * job.input.w;
    return vec4(
        arena[start + at.x],
        arena[start + at.y],
        arena[start + at.z],
        arena[start + at.w],
    );
}
