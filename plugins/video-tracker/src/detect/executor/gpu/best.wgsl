// Of each row the place of its greatest element, the first of several, and that element. One
// invocation for each row.

struct Job {
    rows: u32,
    columns: u32,
    input: u32,
    row_stride: u32,
    column_stride: u32,
    output: u32,
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = invocation(group, groups, lane);
    if row >= job.rows {
        return;
    }
    var place = -1.0;
    var greatest = -3.4028234e38;
    for (var column = 0u; column < job.columns; column++) {
        let element = arena[job.input + row * job.row_stride + column * job.column_stride];
        if element > greatest {
            place = f32(column);
            greatest = element;
        }
    }
    arena[job.output + 2u * row] = place;
    arena[job.output + 2u * row + 1u] = greatest;
}
