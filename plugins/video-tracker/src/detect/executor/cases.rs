//! Small models that between them use every operation in every way there is code for.

use crate::detect::onnx_fixture::{GraphFixture, Set};

pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) bytes: Vec<u8>,
    pub(super) input: [usize; 4],
    /// How many steps are left of it.
    pub(super) steps: usize,
}

impl Case {
    /// An input, any numbers between −2 and 2.
    pub(super) fn tensor(&self) -> Vec<f32> {
        (0..self.input.iter().product::<usize>())
            .map(|i| ((i * 7919 + 13) % 1009) as f32 / 252.0 - 2.0)
            .collect()
    }
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |name, input: [u64; 4], steps, build: &dyn Fn(GraphFixture) -> GraphFixture| {
        let bytes = build(GraphFixture::new(&input)).bytes(&["y"]);
        cases.push(Case { name, bytes, input: input.map(|size| size as usize), steps });
    };
    convolutions(&mut add);
    enlargements(&mut add);
    activations(&mut add);
    places(&mut add);
    arithmetic(&mut add);
    cases
}

type Add<'a> =
    &'a mut dyn FnMut(&'static str, [u64; 4], usize, &dyn Fn(GraphFixture) -> GraphFixture);

fn convolutions(add: Add<'_>) {
    add("a pointwise convolution", [1, 19, 9, 11], 1, &|graph| {
        graph.weights("w", &[37, 19, 1, 1]).weights("b", &[37]).node(
            "Conv",
            &["x", "w", "b"],
            &["y"],
            &[],
        )
    });
    add("one of many pixels", [1, 5, 70, 66], 1, &|graph| {
        graph.weights("w", &[48, 5, 1, 1]).node("Conv", &["x", "w"], &["y"], &[])
    });
    add("one of few channels", [1, 33, 17, 13], 1, &|graph| {
        graph.weights("w", &[3, 33, 1, 1]).node("Conv", &["x", "w"], &["y"], &[])
    });
    add("one of few pixels", [1, 80, 3, 2], 1, &|graph| {
        graph.weights("w", &[70, 80, 1, 1]).node("Conv", &["x", "w"], &["y"], &[])
    });
    add("a dense one, padded unevenly", [1, 3, 21, 18], 1, &|graph| {
        graph.weights("w", &[18, 3, 3, 3]).weights("b", &[18]).node(
            "Conv",
            &["x", "w", "b"],
            &["y"],
            &[("pads", Set::Integers(&[0, 1, 2, 1])), ("strides", Set::Integers(&[2, 1]))],
        )
    });
    add("a dense one of other sides", [1, 7, 12, 12], 1, &|graph| {
        graph.weights("w", &[5, 7, 2, 5]).node(
            "Conv",
            &["x", "w"],
            &["y"],
            &[("auto_pad", Set::Text("SAME_UPPER")), ("strides", Set::Integers(&[3, 2]))],
        )
    });
    add("a dense one with holes", [1, 4, 15, 15], 1, &|graph| {
        graph.weights("w", &[40, 4, 3, 3]).node(
            "Conv",
            &["x", "w"],
            &["y"],
            &[("dilations", Set::Integers(&[2, 3])), ("pads", Set::Integers(&[2, 3, 2, 3]))],
        )
    });
    add("a pointwise one with steps", [1, 6, 9, 8], 1, &|graph| {
        graph.weights("w", &[4, 6, 1, 1]).node(
            "Conv",
            &["x", "w"],
            &["y"],
            &[("strides", Set::Integers(&[2, 2]))],
        )
    });
    add("a depthwise one", [1, 13, 10, 9], 1, &|graph| {
        graph.weights("w", &[13, 1, 3, 3]).weights("b", &[13]).node(
            "Conv",
            &["x", "w", "b"],
            &["y"],
            &[("group", Set::Integer(13)), ("pads", Set::Integers(&[1, 1, 1, 1]))],
        )
    });
    add("a depthwise one with steps", [1, 6, 11, 14], 1, &|graph| {
        graph.weights("w", &[6, 1, 5, 3]).node(
            "Conv",
            &["x", "w"],
            &["y"],
            &[
                ("group", Set::Integer(6)),
                ("pads", Set::Integers(&[0, 0, 2, 1])),
                ("strides", Set::Integers(&[2, 2])),
            ],
        )
    });
    add("pools beside each other", [1, 6, 13, 11], 4, &|graph| {
        let pool = |graph: GraphFixture, size: i64, name: &str| {
            let around = size / 2;
            graph.node(
                "MaxPool",
                &["x"],
                &[name],
                &[
                    ("kernel_shape", Set::Integers(&[size, size])),
                    ("pads", Set::Integers(&[around; 4])),
                    ("strides", Set::Integers(&[1, 1])),
                ],
            )
        };
        let graph = pool(pool(pool(graph, 5, "a"), 9, "b"), 13, "c");
        graph.node("Concat", &["x", "a", "b", "c"], &["y"], &[("axis", Set::Integer(1))])
    });
    add("a pool that halves", [1, 3, 8, 10], 1, &|graph| {
        graph.node(
            "MaxPool",
            &["x"],
            &["y"],
            &[("kernel_shape", Set::Integers(&[2, 2])), ("strides", Set::Integers(&[2, 2]))],
        )
    });
    add("an enlargement", [1, 5, 4, 7], 1, &|graph| {
        graph.floats("roi", &[0], &[]).floats("scales", &[4], &[1.0, 1.0, 2.0, 3.0]).node(
            "Resize",
            &["x", "roi", "scales"],
            &["y"],
            &[
                ("mode", Set::Text("nearest")),
                ("nearest_mode", Set::Text("floor")),
                ("coordinate_transformation_mode", Set::Text("asymmetric")),
            ],
        )
    });
}

fn enlargements(add: Add<'_>) {
    for (name, nearest) in [
        ("one by centres", "round_prefer_floor"),
        ("one by centres, the other way", "round_prefer_ceil"),
    ] {
        add(name, [1, 2, 3, 4], 1, &|graph| {
            graph.floats("scales", &[4], &[1.0, 1.0, 3.0, 2.0]).node(
                "Resize",
                &["x", "", "scales"],
                &["y"],
                &[
                    ("mode", Set::Text("nearest")),
                    ("nearest_mode", Set::Text(nearest)),
                    ("coordinate_transformation_mode", Set::Text("half_pixel")),
                ],
            )
        });
    }
    add("one to a size", [1, 2, 3, 4], 1, &|graph| {
        graph.integers("size", &[1, 2, 6, 4]).node(
            "Resize",
            &["x", "", "", "size"],
            &["y"],
            &[
                ("mode", Set::Text("nearest")),
                ("nearest_mode", Set::Text("floor")),
                ("coordinate_transformation_mode", Set::Text("asymmetric")),
            ],
        )
    });
}

fn activations(add: Add<'_>) {
    add("bounds after a convolution", [1, 8, 5, 5], 1, &|graph| {
        graph
            .weights("w", &[9, 8, 1, 1])
            .floats("low", &[], &[0.0])
            .floats("high", &[], &[1.5])
            .node("Conv", &["x", "w"], &["c"], &[])
            .node("Clip", &["c", "low", "high"], &["y"], &[])
    });
    add("a rectifier after a depthwise one", [1, 4, 6, 6], 1, &|graph| {
        graph
            .weights("w", &[4, 1, 3, 3])
            .node("Conv", &["x", "w"], &["c"], &[("group", Set::Integer(4))])
            .node("Relu", &["c"], &["y"], &[])
    });
    add("a leaky one after a dense one", [1, 2, 6, 6], 1, &|graph| {
        graph.weights("w", &[5, 2, 3, 3]).node("Conv", &["x", "w"], &["c"], &[]).node(
            "LeakyRelu",
            &["c"],
            &["y"],
            &[("alpha", Set::Float(0.1))],
        )
    });
    add("two after another", [1, 2, 6, 6], 2, &|graph| {
        graph
            .weights("w", &[5, 2, 1, 1])
            .node("Conv", &["x", "w"], &["c"], &[])
            .node("Sigmoid", &["c"], &["s"], &[])
            .node("Exp", &["s"], &["y"], &[])
    });
    add("a swish, its sum, and another", [1, 16, 7, 7], 2, &|graph| {
        graph
            .weights("w", &[16, 16, 1, 1])
            .weights("v", &[16, 1, 3, 3])
            .node("Conv", &["x", "w"], &["c"], &[])
            .node("Sigmoid", &["c"], &["s"], &[])
            .node("Mul", &["s", "c"], &["d"], &[])
            .node("Add", &["x", "d"], &["e"], &[])
            .node(
                "Conv",
                &["e", "v"],
                &["f"],
                &[("group", Set::Integer(16)), ("pads", Set::Integers(&[1; 4]))],
            )
            .node("Sigmoid", &["f"], &["t"], &[])
            .node("Mul", &["f", "t"], &["g"], &[])
            .node("Add", &["g", "e"], &["y"], &[])
    });
    add("a sum whose constant is a bias", [1, 6, 4, 4], 1, &|graph| {
        graph
            .weights("w", &[6, 6, 1, 1])
            .weights("b", &[1, 6, 1, 1])
            .node("Conv", &["x", "w"], &["c"], &[])
            .node("Sum", &["c", "x"], &["d"], &[])
            .node("Add", &["d", "b"], &["y"], &[])
    });
    add("what is used twice is kept", [1, 6, 4, 4], 3, &|graph| {
        graph
            .weights("w", &[6, 6, 1, 1])
            .node("Conv", &["x", "w"], &["c"], &[])
            .node("Relu", &["c"], &["d"], &[])
            .node("Mul", &["c", "d"], &["y"], &[])
    });
}

fn places(add: Add<'_>) {
    add("pictures put into one", [1, 8, 6, 5], 4, &|graph| {
        graph
            .weights("w", &[7, 8, 1, 1])
            .weights("v", &[3, 7, 1, 1])
            .weights("u", &[4, 18, 3, 3])
            .node("Conv", &["x", "w"], &["a"], &[])
            .node("Conv", &["a", "v"], &["b"], &[])
            .node("Concat", &["b", "a"], &["c"], &[("axis", Set::Integer(1))])
            .node("Concat", &["x", "c"], &["d"], &[("axis", Set::Integer(-3))])
            .node("Conv", &["d", "u"], &["y"], &[])
    });
    add("the same one twice", [1, 3, 6, 5], 3, &|graph| {
        graph
            .weights("w", &[2, 3, 1, 1])
            .weights("v", &[5, 4, 1, 1])
            .node("Conv", &["x", "w"], &["a"], &[])
            .node("Concat", &["a", "a"], &["c"], &[("axis", Set::Integer(1))])
            .node("Conv", &["c", "v"], &["y"], &[])
    });
    add("every other row and column", [1, 3, 8, 6], 5, &|graph| {
        let graph = graph
            .integers("0", &[0])
            .integers("1", &[1])
            .integers("2", &[2])
            .integers("3", &[3])
            .integers("end", &[i64::MAX]);
        let slice = |graph: GraphFixture, from: &str, to: &str, start: &str, axis: &str| {
            graph.node("Slice", &[from, start, "end", axis, "2"], &[to], &[])
        };
        let graph = slice(slice(graph, "x", "e", "0", "2"), "x", "o", "1", "2");
        let graph = slice(slice(graph, "e", "ee", "0", "3"), "e", "eo", "1", "3");
        let graph = slice(slice(graph, "o", "oe", "0", "3"), "o", "oo", "1", "3");
        graph
            .weights("w", &[4, 12, 3, 3])
            .node("Concat", &["ee", "oe", "eo", "oo"], &["c"], &[("axis", Set::Integer(1))])
            .node("Conv", &["c", "w"], &["y"], &[])
    });
    // As SSD's heads: the sigmoid and the order of axes are the convolutions' work.
    add("heads put together", [1, 8, 6, 4], 3, &|graph| {
        let head = |graph: GraphFixture, from: &str, to: &str| {
            graph
                .node("Conv", &[from, "w"], &[&format!("{to}c")], &[])
                .node(
                    "Transpose",
                    &[&format!("{to}c")],
                    &[&format!("{to}t")],
                    &[("perm", Set::Integers(&[0, 2, 3, 1]))],
                )
                .node("Reshape", &[&format!("{to}t"), "rows"], &[to], &[])
        };
        let graph = graph.weights("w", &[15, 8, 1, 1]).integers("rows", &[1, -1, 5]).node(
            "MaxPool",
            &["x"],
            &["small"],
            &[("kernel_shape", Set::Integers(&[2, 2])), ("strides", Set::Integers(&[2, 2]))],
        );
        head(head(graph, "x", "p"), "small", "q")
            .node("Concat", &["p", "q"], &["all"], &[("axis", Set::Integer(1))])
            .node("Sigmoid", &["all"], &["y"], &[])
    });
    add("a slice that is not at the end", [1, 4, 5, 5], 2, &|graph| {
        graph
            .weights("w", &[6, 4, 1, 1])
            .integers("from", &[2, -4])
            .integers("to", &[5, 9])
            .integers("axes", &[1, 2])
            .node("Conv", &["x", "w"], &["c"], &[])
            .node("Slice", &["c", "from", "to", "axes"], &["y"], &[])
    });
    add("a shape that has to be copied", [1, 4, 3, 5], 2, &|graph| {
        graph
            .integers("shape", &[6, 10])
            .node("Transpose", &["x"], &["t"], &[])
            .node("Reshape", &["t", "shape"], &["s"], &[])
            .node("Relu", &["s"], &["y"], &[])
    });
    add("an empty slice of work", [1, 4, 3, 5], 1, &|graph| {
        graph.node("Identity", &["x"], &["i"], &[]).node("Transpose", &["i"], &["y"], &[])
    });
}

fn arithmetic(add: Add<'_>) {
    for (name, operator) in
        [("a sum", "Add"), ("a difference", "Sub"), ("a product", "Mul"), ("a quotient", "Div")]
    {
        add(name, [1, 3, 4, 5], 2, &|graph| {
            graph
                .floats("c", &[3, 1, 1], &[3.0, 5.0, 7.0])
                .floats("d", &[4, 5], &[2.5; 20])
                .node(operator, &["x", "c"], &["a"], &[])
                .node(operator, &["d", "a"], &["y"], &[])
        });
    }
    // As SSD's boxes: each row by itself, with constants and with each other.
    add("boxes from anchors", [1, 1, 7, 4], 11, &|graph| {
        let graph = graph
            .integers("two", &[-1, 4])
            .integers("axis", &[0])
            .integers("out", &[1, 7, 1, 4])
            .weights("sizes", &[7])
            .weights("centres", &[7])
            .floats("fifth", &[], &[0.2])
            .node("Reshape", &["x", "two"], &["flat"], &[])
            .node("Transpose", &["flat"], &["rows"], &[("perm", Set::Integers(&[1, 0]))])
            .node("Split", &["rows"], &["r0", "r1", "r2", "r3"], &[("axis", Set::Integer(0))]);
        let coordinate = |graph: GraphFixture, at: &str, size: &str, low: &str, high: &str| {
            let n = |name: &str| format!("{name}{at}{size}");
            graph
                .node("Squeeze", &[size, "axis"], &[&n("sq")], &[])
                .node("Mul", &[&n("sq"), "fifth"], &[&n("sm")], &[])
                .node("Exp", &[&n("sm")], &[&n("se")], &[])
                .node("Mul", &["sizes", &n("se")], &[&n("half")], &[])
                .node("Squeeze", &[at, "axis"], &[&n("cq")], &[])
                .node("Add", &[&n("cq"), "centres"], &[&n("c")], &[])
                .node("Sub", &[&n("c"), &n("half")], &[&n("l")], &[])
                .node("Add", &[&n("c"), &n("half")], &[&n("h")], &[])
                .node("Unsqueeze", &[&n("l"), "axis"], &[low], &[])
                .node("Unsqueeze", &[&n("h"), "axis"], &[high], &[])
        };
        coordinate(coordinate(graph, "r0", "r2", "top", "bottom"), "r1", "r3", "left", "right")
            .node(
                "Concat",
                &["top", "left", "bottom", "right"],
                &["all"],
                &[("axis", Set::Integer(0))],
            )
            .node("Transpose", &["all"], &["t"], &[("perm", Set::Integers(&[1, 0]))])
            .node("Reshape", &["t", "out"], &["y"], &[])
    });
}
