// From a captured frame to a model's input; the twin of cpu.rs. What is read
// where is defined in mod.rs. One invocation for each pixel of the input writes
// its three colours.

struct Job {
    // Width and height of the picture, of the content, of the input.
    picture_size: vec2<u32>,
    content_size: vec2<u32>,
    input_size: vec2<u32>,
    // Bytes from one row to the next, and before the second plane.
    stride: u32,
    chroma_start: u32,
    // One of the constants below.
    format: u32,
    // Which plane of the tensor red goes to, 0 or 2.
    red_plane: u32,
    scale: f32,
    offset: f32,
    // Level outside of the content, 0-255.
    padding: f32,
}

const YUYV = 0u;
const NV12 = 1u;
const RGB = 2u;

@group(0) @binding(0) var<uniform> job: Job;
// The frame's bytes, four to a word, the first in the lowest bits.
@group(0) @binding(1) var<storage, read> picture: array<u32>;
// Where each column reads, then where each row reads: pixel * 256 + weight.
@group(0) @binding(2) var<storage, read> taps: array<u32>;
// 3 * height * width.
@group(0) @binding(3) var<storage, read_write> tensor: array<f32>;

fn byte(at: u32) -> u32 {
    return (picture[at >> 2u] >> ((at & 3u) << 3u)) & 255u;
}

// Y, U, V or red, green, blue of a pixel of the picture, 0-255.
fn pixel(x: u32, y: u32) -> vec3<u32> {
    let row = y * job.stride;
    switch job.format {
        case YUYV: {
            // Y0 U Y1 V in one word, unless the rows are shifted against words.
            let pair = row + (x >> 1u) * 4u;
            return vec3(byte(row + x * 2u), byte(pair + 1u), byte(pair + 3u));
        }
        case NV12: {
            let chroma = job.chroma_start + (y >> 1u) * job.stride + (x & ~1u);
            return vec3(byte(row + x), byte(chroma), byte(chroma + 1u));
        }
        case RGB: {
            let start = row + x * 3u;
            return vec3(byte(start), byte(start + 1u), byte(start + 2u));
        }
        default: {
            return vec3(byte(row + x));
        }
    }
}

// BT.601, limited range; the same numbers as in layout.rs.
fn bt601(yuv: vec3<f32>) -> vec3<f32> {
    let y = (yuv.x - 16.0) * (255.0 / 219.0);
    let u = (yuv.y - 128.0) * (255.0 / 224.0);
    let v = (yuv.z - 128.0) * (255.0 / 224.0);
    let green = y - (1.772 * 0.114 / 0.587) * u - (1.402 * 0.299 / 0.587) * v;
    return clamp(vec3(y + 1.402 * v, green, y + 1.772 * u), vec3(0.0), vec3(255.0));
}

@compute @workgroup_size(16, 8)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if any(id.xy >= job.input_size) {
        return;
    }
    var levels = vec3(job.padding);
    if all(id.xy < job.content_size) {
        let tap_x = taps[id.x];
        let tap_y = taps[job.content_size.x + id.y];
        let left = tap_x >> 8u;
        let upper = tap_y >> 8u;
        let right = min(left + 1u, job.picture_size.x - 1u);
        let lower = min(upper + 1u, job.picture_size.y - 1u);
        let weight_x = tap_x & 255u;
        let weight_y = tap_y & 255u;
        // Exact: at most 255 * 65536.
        let above = pixel(left, upper) * (256u - weight_x) + pixel(right, upper) * weight_x;
        let below = pixel(left, lower) * (256u - weight_x) + pixel(right, lower) * weight_x;
        levels = vec3<f32>(above * (256u - weight_y) + below * weight_y) * (1.0 / 65536.0);
        if job.format == YUYV || job.format == NV12 {
            levels = bt601(levels);
        }
    }
    let values = levels * job.scale + job.offset;
    let plane = job.input_size.x * job.input_size.y;
    let at = id.y * job.input_size.x + id.x;
    tensor[at + job.red_plane * plane] = values.x;
    tensor[at + plane] = values.y;
    tensor[at + (2u - job.red_plane) * plane] = values.z;
}
