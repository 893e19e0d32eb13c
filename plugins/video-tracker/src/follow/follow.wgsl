// Correlation filters, one workgroup for each look of one filter at one region;
// the twin of cpu.rs. What is computed is defined in mod.rs. An invocation has
// one of the 16 x 16 cells, which is also one of the spectrum's frequencies and
// one of the response's shifts.

struct Level {
    // Of luma: first byte, width, height. Then chroma's width and height, and
    // the first bytes of U and of V.
    luma: vec4<u32>,
    chroma: vec4<u32>,
}

struct Job {
    levels: array<Level, 6>,
    // Of each cell along an axis: the window, cos and sin of its share of a turn.
    axis: array<vec4<f32>, 16>,
    // Half of cos and sin of twice each orientation's angle.
    orientations: array<vec4<f32>, 9>,
    // Cos and sin of each hue's angle.
    hues: array<vec4<f32>, 7>,
    regularization: f32,
    colour_weight: f32,
    gray_weight: f32,
    saturation_half: f32,
}

struct Look {
    // The filter's number, the level of the picture, and the rate of learning.
    slot: u32,
    level: u32,
    rate: f32,
    unused: u32,
    // The region, in pixels of the level.
    center: vec2<f32>,
    size: vec2<f32>,
}

@group(0) @binding(0) var<uniform> job: Job;
// Planes of bytes, four to a word, the first in the lowest bits.
@group(0) @binding(1) var<storage, read> picture: array<u32>;
@group(0) @binding(2) var<storage, read> looks: array<Look>;
// Of each filter: its channels' numerators, then the energy as a real part.
@group(0) @binding(3) var<storage, read_write> filters: array<vec2<f32>>;
// Of each look: the peak's value, its shift right and down, the sidelobe ratio.
@group(0) @binding(4) var<storage, read_write> peaks: array<vec4<f32>>;

const CELLS = 256u;
const CHANNELS = 20u;
const ORIENTATIONS = 9u;
const HUES = 7u;
const FILTER_STRIDE = (CHANNELS + 1u) * CELLS;
// 64 samples and one more at each edge; two to a word.
const LUMA_SIDE = 66u;
const LUMA_WORDS = 33u;

// The same numbers as in features.rs.
const GRADIENT_FLOOR = 1.0;
const ENERGY_FLOOR = 400.0;
const HISTOGRAM_MAX = 0.4;
const HUE_SUM = 7.0 * 70.0 / 256.0;

var<workgroup> luma: array<u32, 2178>;
var<workgroup> energy: array<f32, 256>;
var<workgroup> front: array<vec2<f32>, 256>;
var<workgroup> middle: array<vec2<f32>, 256>;
var<workgroup> back: array<vec2<f32>, 256>;

var<private> features: array<f32, 20>;

fn byte(at: u32) -> f32 {
    return f32((picture[at >> 2u] >> ((at & 3u) << 3u)) & 255u);
}

// A plane at a place, bilinear, clamped to its edges. Positions are of pixels'
// middles.
fn sample(start: u32, size: vec2<u32>, position: vec2<f32>) -> f32 {
    let inside = clamp(position, vec2(0.0), vec2<f32>(size - 1u));
    let upper_left = vec2<u32>(inside);
    let lower_right = min(upper_left + 1u, size - 1u);
    let weight = inside - vec2<f32>(upper_left);
    let upper = start + upper_left.y * size.x;
    let lower = start + lower_right.y * size.x;
    let left = mix(byte(upper + upper_left.x), byte(lower + upper_left.x), weight.y);
    let right = mix(byte(upper + lower_right.x), byte(lower + lower_right.x), weight.y);
    return mix(left, right, weight.x);
}

fn luma_at(x: u32, y: u32) -> f32 {
    let pair = unpack2x16unorm(luma[y * LUMA_WORDS + (x >> 1u)]);
    return select(pair.x, pair.y, (x & 1u) == 1u) * 255.0;
}

// Fills `luma` with the region's samples.
fn sample_luma(look: Look, cell: u32) {
    let level = job.levels[look.level].luma;
    for (var word = cell; word < LUMA_SIDE * LUMA_WORDS; word += CELLS) {
        let at = vec2(word % LUMA_WORDS * 2u, word / LUMA_WORDS);
        var pair: vec2<f32>;
        for (var nth = 0u; nth < 2u; nth++) {
            let share = (vec2<f32>(at + vec2(nth, 0u)) - 0.5) / 64.0 - 0.5;
            let position = look.center + share * look.size - 0.5;
            pair[nth] = sample(level.x, level.yz, position) / 255.0;
        }
        luma[word] = pack2x16unorm(pair);
    }
}

// The mean of a cell's chroma, from -1 to 1.
fn chroma(look: Look, start: u32, at: vec2<u32>) -> f32 {
    let size = job.levels[look.level].chroma.xy;
    var sum = 0.0;
    for (var nth = 0u; nth < 4u; nth++) {
        let place = 2u * at + vec2(nth & 1u, nth >> 1u);
        let share = (vec2<f32>(place) + 0.5) / 32.0 - 0.5;
        sum += sample(start, size, (look.center + share * look.size) * 0.5 - 0.5);
    }
    return (sum / 4.0 - 128.0) / 112.0;
}

// This cell's features. Contains barriers.
fn observe(look: Look, cell: u32) {
    let at = vec2(cell & 15u, cell >> 4u);
    sample_luma(look, cell);
    workgroupBarrier();

    for (var channel = 0u; channel < CHANNELS; channel++) {
        features[channel] = 0.0;
    }
    // Each pixel counts for its four nearest cells.
    var light = 0.0;
    for (var row = 0u; row < 8u; row++) {
        for (var column = 0u; column < 8u; column++) {
            let pixel = vec2<i32>(at * 4u + vec2(column, row)) - 2;
            if any(pixel < vec2(0)) || any(pixel > vec2(63)) {
                continue;
            }
            let here = vec2<u32>(pixel) + 1u;
            let across = luma_at(here.x + 1u, here.y) - luma_at(here.x - 1u, here.y);
            let down = luma_at(here.x, here.y + 1u) - luma_at(here.x, here.y - 1u);
            let square = across * across + down * down;
            let inverse = 1.0 / (square + GRADIENT_FLOOR);
            let direction =
                vec2((across * across - down * down) * inverse, 2.0 * across * down * inverse);
            let near_cell = 1.0 - abs(vec2<f32>(vec2(column, row)) - 3.5) / 4.0;
            let weight = sqrt(square) * near_cell.x * near_cell.y;
            for (var nth = 0u; nth < ORIENTATIONS; nth++) {
                let near = 0.5 + dot(direction, job.orientations[nth].xy);
                let nearer = near * near;
                features[nth] += nearer * nearer * weight;
            }
            if row >= 2u && row < 6u && column >= 2u && column < 6u {
                light += luma_at(here.x, here.y);
            }
        }
    }
    light /= 16.0 * 255.0;

    var own = 0.0;
    for (var nth = 0u; nth < ORIENTATIONS; nth++) {
        own += features[nth] * features[nth];
    }
    energy[cell] = own;
    workgroupBarrier();
    var around = 0.0;
    for (var row = 0u; row < 3u; row++) {
        for (var column = 0u; column < 3u; column++) {
            let place = clamp(vec2<i32>(at + vec2(column, row)) - 1, vec2(0), vec2(15));
            let weight = f32((1u + (column & 1u)) * (1u + (row & 1u)));
            around += weight * energy[u32(place.y) * 16u + u32(place.x)];
        }
    }
    let scale = inverseSqrt(around / 16.0 + ENERGY_FLOOR);
    let window = job.axis[at.x].x * job.axis[at.y].x;
    for (var nth = 0u; nth < ORIENTATIONS; nth++) {
        features[nth] = min(features[nth] * scale, HISTOGRAM_MAX) * window;
    }

    let planes = job.levels[look.level].chroma.zw;
    let colour = vec2(chroma(look, planes.x, at), chroma(look, planes.y, at));
    let distance = length(colour);
    let saturation = distance / (distance + job.saturation_half);
    let gray = (1.0 - saturation) * job.colour_weight * window;
    let black = max(1.0 - 2.0 * light, 0.0);
    let white = max(2.0 * light - 1.0, 0.0);
    features[ORIENTATIONS] = gray * black;
    features[ORIENTATIONS + 1u] = gray * (1.0 - black - white);
    features[ORIENTATIONS + 2u] = gray * white;
    let strength = saturation * job.colour_weight / HUE_SUM * window;
    let inverse = 0.5 / (distance + 1e-6);
    for (var nth = 0u; nth < HUES; nth++) {
        let near = 0.5 + dot(colour, job.hues[nth].xy) * inverse;
        let nearer = near * near;
        features[ORIENTATIONS + 3u + nth] = strength * nearer * nearer;
    }
    features[CHANNELS - 1u] = (light - 0.5) * job.gray_weight * window;
}

fn times(a: vec2<f32>, b: vec2<f32>) -> vec2<f32> {
    return vec2(a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x);
}

// The transform of `front` into `back`, by the definition along each axis. Each
// of the three arrays is written only after everybody has read it: what
// is called twice in a row needs no barrier between.
fn transform(cell: u32) {
    let at = vec2(cell & 15u, cell >> 4u);
    workgroupBarrier();
    var sum = vec2(0.0);
    for (var nth = 0u; nth < 16u; nth++) {
        let turn = job.axis[(nth * at.x) & 15u].yz;
        sum += times(front[at.y * 16u + nth], vec2(turn.x, -turn.y));
    }
    middle[cell] = sum;
    workgroupBarrier();
    sum = vec2(0.0);
    for (var nth = 0u; nth < 16u; nth++) {
        let turn = job.axis[(nth * at.y) & 15u].yz;
        sum += times(middle[nth * 16u + at.x], vec2(turn.x, -turn.y));
    }
    back[cell] = sum;
    workgroupBarrier();
}

// The spectra of channels 2 * pair and 2 * pair + 1 at this cell's frequency.
fn spectra(pair: u32, cell: u32) -> vec4<f32> {
    front[cell] = vec2(features[2u * pair], features[2u * pair + 1u]);
    transform(cell);
    let mirrored = ((16u - (cell >> 4u)) & 15u) * 16u + ((16u - (cell & 15u)) & 15u);
    let z = back[cell];
    let turned = back[mirrored];
    return 0.5 * vec4(z.x + turned.x, z.y - turned.y, z.y + turned.y, turned.x - z.x);
}

// At the rate 1, whatever was there is gone, also if it was no number.
fn blend(before: vec2<f32>, after: vec2<f32>, rate: f32) -> vec2<f32> {
    if rate >= 1.0 {
        return after;
    }
    return mix(before, after, rate);
}

// Moves each look's filter the share `rate` of the way to what it shows.
@compute @workgroup_size(256)
fn learn(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) cell: u32) {
    let look = looks[group.x];
    observe(look, cell);
    let start = look.slot * FILTER_STRIDE + cell;
    let wanted = job.axis[cell & 15u].w * job.axis[cell >> 4u].w;
    var sum = 0.0;
    for (var pair = 0u; pair < CHANNELS / 2u; pair++) {
        let found = spectra(pair, cell);
        sum += dot(found, found);
        for (var nth = 0u; nth < 2u; nth++) {
            let value = select(found.xy, found.zw, nth == 1u);
            let numerator = wanted * vec2(value.x, -value.y);
            let place = start + (2u * pair + nth) * CELLS;
            filters[place] = blend(filters[place], numerator, look.rate);
        }
    }
    let place = start + CHANNELS * CELLS;
    filters[place] = blend(filters[place], vec2(sum, 0.0), look.rate);
}

// Where a parabola through three values has its top, from the middle one.
fn vertex(before: f32, middle: f32, after: f32) -> f32 {
    let curvature = before - 2.0 * middle + after;
    if curvature < -1e-9 {
        return clamp(0.5 * (before - after) / curvature, -0.5, 0.5);
    }
    return 0.0;
}

fn apart(a: u32, b: u32) -> u32 {
    let distance = max(a, b) - min(a, b);
    return min(distance, 16u - distance);
}

// The peak of each look's response.
@compute @workgroup_size(256)
fn respond(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) cell: u32) {
    let look = looks[group.x];
    observe(look, cell);
    let start = look.slot * FILTER_STRIDE + cell;
    var sum = vec2(0.0);
    for (var pair = 0u; pair < CHANNELS / 2u; pair++) {
        let found = spectra(pair, cell);
        let place = start + 2u * pair * CELLS;
        sum += times(found.xy, filters[place]) + times(found.zw, filters[place + CELLS]);
    }
    sum /= filters[start + CHANNELS * CELLS].x + job.regularization;
    // The inverse is the transform with both parts exchanged.
    front[cell] = sum.yx;
    transform(cell);
    let value = back[cell].y / 256.0;

    // The highest, of equals the first: value and place, halving who competes.
    middle[cell] = vec2(value, f32(cell));
    energy[cell] = value;
    workgroupBarrier();
    for (var span = CELLS / 2u; span > 0u; span >>= 1u) {
        if cell < span {
            let other = middle[cell + span];
            let own = middle[cell];
            if other.x > own.x || (other.x == own.x && other.y < own.y) {
                middle[cell] = other;
            }
        }
        workgroupBarrier();
    }
    let best = u32(middle[0].y);
    let peak = vec2(best & 15u, best >> 4u);

    let beside = max(apart(cell & 15u, peak.x), apart(cell >> 4u, peak.y)) > 2u;
    front[cell] = select(vec2(0.0), vec2(value, value * value), beside);
    workgroupBarrier();
    for (var span = CELLS / 2u; span > 0u; span >>= 1u) {
        if cell < span {
            front[cell] += front[cell + span];
        }
        workgroupBarrier();
    }
    if cell == 0u {
        // All but 5 x 5 cells.
        let mean = front[0].x / 231.0;
        let variance = max(front[0].y / 231.0 - mean * mean, 0.0);
        let top = energy[best];
        let row = peak.y * 16u;
        let across =
            vertex(energy[row + ((peak.x + 15u) & 15u)], top, energy[row + ((peak.x + 1u) & 15u)]);
        let above = ((peak.y + 15u) & 15u) * 16u;
        let below = ((peak.y + 1u) & 15u) * 16u;
        let down = vertex(energy[above + peak.x], top, energy[below + peak.x]);
        let shift = vec2<f32>(peak) - select(vec2(0.0), vec2(16.0), peak >= vec2(8u));
        peaks[group.x] = vec4(
            top, shift.x + across, shift.y + down, (top - mean) / (sqrt(variance) + 1e-6));
    }
}
