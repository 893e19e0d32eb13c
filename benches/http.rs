//! What the server adds to hyper: the list of 20 plugins, as a dashboard polls it, against a bare
//! hyper server that gives a constant body of the same size.
//!
//! Both have two threads, as the real server has; one client sends 32 requests at a time over each
//! of 4 connections, so that the servers are busy and not the line. Client and servers share the
//! machine. Budget: 0.8 of the bare server's requests.

use std::{
    convert::Infallible,
    hint::black_box,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use http_body_util::Full;
use hyper::{Request, Response, body::Bytes, header, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use keepsight::{
    api::HttpServer,
    bundled::BUNDLED,
    config::{Config, Environment},
    loader::{Catalog, ProbeProgram},
    runtime::{Runtime, RuntimeOptions},
};
use keepsight_contract::Pace;
use tokio::runtime::{Builder, Runtime as Tokio};

criterion_group!(benches, list_of_plugins, against_budget);
criterion_main!(benches);

const PLUGINS: usize = 20;
const CONNECTIONS: usize = 4;
/// Requests that are sent at once over a connection.
const BATCH: usize = 32;

fn list_of_plugins(criterion: &mut Criterion) {
    let (ours, bare) = servers();
    let mut group = criterion.benchmark_group("list of plugins");
    group.throughput(Throughput::Elements((CONNECTIONS * BATCH) as u64));
    for (name, address) in [("bare hyper", bare.address), ("keepsight", ours.server.address())] {
        let mut clients = clients(address);
        group.bench_function(name, |bencher| bencher.iter(|| ask(&mut clients)));
    }
    group.finish();
}

/// The figure that the budget names, both measured in turn.
fn against_budget(_: &mut Criterion) {
    const PAIRS: usize = 21;
    let (ours, bare) = servers();
    let mut all = [bare.address, ours.server.address()].map(clients);
    let mut ratios: Vec<f64> = (0..PAIRS)
        .map(|_| {
            let [bare, ours] = all.each_mut().map(|clients| {
                let start = Instant::now();
                (0..50).for_each(|_| ask(clients));
                start.elapsed().as_secs_f64()
            });
            bare / ours
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    let ratio = ratios[PAIRS / 2];
    eprintln!("list of {PLUGINS} plugins: {ratio:.2} of a bare server's requests, budget 0.8");
}

/// A connection, and room for the answers to a batch.
struct Client {
    stream: TcpStream,
    answers: Vec<u8>,
}

/// Sends a batch over every connection, then reads all answers.
fn ask(clients: &mut [Client]) {
    let requests = REQUEST.repeat(BATCH);
    for client in clients.iter_mut() {
        client.stream.write_all(requests.as_bytes()).expect("the server reads");
    }
    for client in clients {
        client.stream.read_exact(&mut client.answers).expect("the server answers");
        black_box(&client.answers);
    }
}

fn clients(address: SocketAddr) -> Vec<Client> {
    // All answers of a server are of one length while nothing happens but that time goes by.
    let answer_length = one_answer(address).len();
    let connect = |_| Client {
        stream: TcpStream::connect(address).expect("the server listens"),
        answers: vec![0; answer_length * BATCH],
    };
    (0..CONNECTIONS).map(connect).collect()
}

struct Ours {
    server: HttpServer,
    _runtime: Arc<Runtime>,
}

struct Bare {
    address: SocketAddr,
    _runtime: Tokio,
}

fn servers() -> (Ours, Bare) {
    let ours = ours();
    let answer = one_answer(ours.server.address());
    let body = answer.split(|byte| *byte == b'[').nth(1).map_or(0, |body| body.len() + 1);
    (ours, bare(vec![b'x'; body].into()))
}

fn ours() -> Ours {
    let catalog = Catalog::of_this_binary(BUNDLED).expect("what is bundled is there");
    let plugins = catalog.plugin_ids();
    let environment = Environment { plugins: &plugins, variable: &|_| None };
    let mut toml = "version = 1\n".to_owned();
    for number in 0..PLUGINS {
        // They are FAILED, each with its reason: nothing in the list changes with time.
        toml.push_str(&format!(
            "[plugins.p{number}]\nuse = \"frame-stats\"\nconfig = {{ x = 1 }}\n"
        ));
    }
    let mut config = Config::parse(&toml, Path::new("bench"), &environment).expect("it is valid");
    config.server.listen.set_port(0);
    let probe_program = ProbeProgram::at("/nonexistent");
    let options = RuntimeOptions { probe_program, pace: Pace::Native, listeners: Vec::new() };
    let runtime = Arc::new(Runtime::new(&config, &catalog, options).expect("it can be run"));
    let server = HttpServer::start(&config.server, runtime.clone()).expect("a free port");
    runtime.begin();
    assert!(runtime.wait_loaded(Duration::from_secs(30)), "each has its outcome");
    Ours { server, _runtime: runtime }
}

fn bare(body: Bytes) -> Bare {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("threads");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("a socket can");
    let address = listener.local_addr().expect("it is bound");
    runtime.spawn(async move {
        let listener = tokio::net::TcpListener::from_std(listener).expect("within the runtime");
        loop {
            let Ok((stream, _)) = listener.accept().await else { return };
            // As the real server does; without it the client waits for acknowledgements.
            let _ = stream.set_nodelay(true);
            let body = body.clone();
            let service = service_fn(move |_: Request<hyper::body::Incoming>| {
                let mut response = Response::new(Full::new(body.clone()));
                let json = header::HeaderValue::from_static("application/json");
                response.headers_mut().insert(header::CONTENT_TYPE, json);
                async { Ok::<_, Infallible>(response) }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    Bare { address, _runtime: runtime }
}

/// Everything that is sent for one request.
fn one_answer(address: SocketAddr) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    stream.write_all(REQUEST.as_bytes()).expect("the server reads");
    let mut answer = Vec::new();
    let mut block = [0; 64 << 10];
    loop {
        let count = stream.read(&mut block).expect("the server answers");
        answer.extend_from_slice(&block[..count]);
        let text = String::from_utf8_lossy(&answer);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.expect("a length").parse().expect("a number");
            if body.len() >= length {
                return answer;
            }
        }
        thread::yield_now();
    }
}

const REQUEST: &str = "GET /v1/plugins HTTP/1.1\r\nhost: localhost\r\n\r\n";
