// A window over each channel by itself. One invocation for each element of the output.

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = invocation(group, groups, lane);
    if at >= job.output_size.w {
        return;
    }
    let column = at % job.output_size.z;
    let row = at / job.output_size.z % job.output_size.y;
    let channel = at / (job.output_size.z * job.output_size.y);
    // Before the picture, numbers wrap and are beyond it.
    let top = row * job.window.z - job.padding.x;
    let left = column * job.window.w - job.padding.y;
    var weight = job.weights + channel * job.window.x * job.window.y;
    var sum = 0.0;
    for (var i = 0u; i < job.window.x; i++) {
        let y = top + i * job.padding.z;
        if y >= job.input_size.y {
            weight += job.window.y;
            continue;
        }
        let start = input_at(channel, y, 0u);
        for (var j = 0u; j < job.window.y; j++) {
            let x = left + j * job.padding.w;
            if x < job.input_size.z {
                sum += weights[weight] * arena[start + x * job.input.w];
            }
            weight++;
        }
    }
    finish(channel, row, column, sum);
}
