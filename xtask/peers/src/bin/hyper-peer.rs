//! `hyper-peer`: the peers on tokio, each as its users would write it for one core: hyper 1 and a plain echo.
//!
//! hyper is set up in its own favour: `current_thread`, TCP_NODELAY, flushes gathered for pipelined requests,
//! and no timer, hence none of the time limits that a server on the open net needs.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const USAGE: &str = "\
usage: hyper-peer http ADDR         hyper 1: `GET /` answers hello, anything else 404
       hyper-peer tokio-echo ADDR   tokio: sends back what it receives";

/// Bytes asked for by one read of the echo; as in the floor.
const READ_BUFFER: usize = 64 * 1024;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (serve, addr) = match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["http", addr] => (serve_http as fn(TcpStream), addr.parse::<SocketAddr>()),
        ["tokio-echo", addr] => (serve_echo as fn(TcpStream), addr.parse()),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    let outcome = addr.map_err(io::Error::other).and_then(|addr| run(addr, serve));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hyper-peer {}: {error}", args.join(" "));
            ExitCode::FAILURE
        }
    }
}

fn run(addr: SocketAddr, serve: fn(TcpStream)) -> io::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
        let listener = TcpListener::bind(addr).await?;
        println!("listening on {}", listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            serve(stream);
        }
    })
}

fn serve_http(stream: TcpStream) {
    tokio::spawn(async move {
        let mut builder = http1::Builder::new();
        builder.pipeline_flush(true);
        // A failed connection is the load's to count.
        let _ended = builder.serve_connection(TokioIo::new(stream), service_fn(hello)).await;
    });
}

async fn hello(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::default());
    if request.method() == Method::GET && request.uri().path() == "/" {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        *response.body_mut() = Full::new(Bytes::from_static(b"hello"));
    } else {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    Ok(response)
}

fn serve_echo(mut stream: TcpStream) {
    tokio::spawn(async move {
        let mut buffer = vec![0; READ_BUFFER];
        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
            if stream.write_all(&buffer[..count]).await.is_err() {
                break;
            }
        }
    });
}
