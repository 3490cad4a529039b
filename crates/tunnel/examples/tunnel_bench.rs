//! Measures a tunnel over TLS-less loopback TCP: bulk both ways, kept streams, new streams, and a small exchange beside bulk.
//!
//! `cargo run --release -p tunnel --example tunnel_bench -- [stream window in KiB]`

use std::time::{Duration, Instant};

use http::HeaderMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tunnel::{Incoming, Near, Settings, Stream, accept_on, connect};

const SPAN: Duration = Duration::from_secs(2);
const SMALL: usize = 300;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(worker_threads = 2)]
#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
async fn main() -> Result<(), Failure> {
    let mut settings = Settings::default();
    if let Some(window) = std::env::args().nth(1) {
        settings.windows.stream = window.parse::<u32>()? * 1024;
    }
    println!("stream window {} KiB", settings.windows.stream / 1024);
    let mut tasks = JoinSet::new();
    let near = start(&settings, &mut tasks).await?;
    println!(
        "bulk up     {:>8.0} MB/s",
        bulk(near.open("sink:1", HeaderMap::new())?, Way::Up).await?
    );
    println!(
        "bulk down   {:>8.0} MB/s",
        bulk(near.open("source:1", HeaderMap::new())?, Way::Down).await?
    );
    println!("kept        {:>8.0} exchanges/s (64 streams)", kept(&near, 64).await?);
    println!("new         {:>8.0} streams/s (64 at a time)", fresh(&near, 64).await?);
    let source = near.open("source:1", HeaderMap::new())?;
    tasks.spawn(async move { bulk(source, Way::Down).await.map(|_| ()) });
    let (median, slow) = beside(&near).await?;
    println!("beside bulk {median:>8.2?} median, {slow:.2?} at 99 %");
    Ok(())
}

enum Way {
    Up,
    Down,
}

async fn start(
    settings: &Settings,
    tasks: &mut JoinSet<Result<(), Failure>>,
) -> Result<Near, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let agent = TcpStream::connect(listener.local_addr()?).await?;
    let (proxy, _) = listener.accept().await?;
    agent.set_nodelay(true)?;
    proxy.set_nodelay(true)?;
    let mut far = accept_on(agent, settings);
    tasks.spawn(async move {
        let mut streams = JoinSet::new();
        while let Some(incoming) = far.next().await? {
            streams.spawn(serve(incoming));
            while streams.try_join_next().is_some() {}
        }
        Ok(())
    });
    let (near, driver) = connect(proxy, settings).await?;
    tasks.spawn(async move { Ok(driver.await?) });
    Ok(near)
}

async fn serve(incoming: Incoming) -> Result<(), Failure> {
    let target = incoming.target().to_owned();
    let mut stream = incoming.accept()?;
    match target.as_str() {
        "sink:1" => {
            while let Some(chunk) = std::future::poll_fn(|cx| stream.poll_chunk(cx)).await {
                chunk?;
            }
        }
        "source:1" => {
            let block = bytes::Bytes::from(vec![7; 64 * 1024]);
            loop {
                let mut rest = block.clone();
                while !rest.is_empty() {
                    std::future::poll_fn(|cx| stream.poll_send(cx, &mut rest)).await?;
                }
            }
        }
        _ => {
            let mut message = [0; SMALL];
            while stream.read_exact(&mut message).await.is_ok() {
                stream.write_all(&message).await?;
            }
            stream.shutdown().await?;
        }
    }
    Ok(())
}

async fn bulk(mut stream: Stream, way: Way) -> Result<f64, Failure> {
    let block = bytes::Bytes::from(vec![7; 64 * 1024]);
    let begun = Instant::now();
    let mut total = 0;
    while begun.elapsed() < SPAN {
        let mut rest = block.clone();
        total += match way {
            Way::Up => std::future::poll_fn(|cx| stream.poll_send(cx, &mut rest)).await?,
            Way::Down => match std::future::poll_fn(|cx| stream.poll_chunk(cx)).await {
                Some(chunk) => chunk?.len(),
                None => break,
            },
        };
    }
    Ok(total as f64 / begun.elapsed().as_secs_f64() / 1e6)
}

async fn kept(near: &Near, streams: usize) -> Result<f64, Failure> {
    let mut workers = JoinSet::new();
    for _ in 0..streams {
        let mut stream = near.open("echo:1", HeaderMap::new())?;
        workers.spawn(async move {
            let begun = Instant::now();
            let mut count = 0_u32;
            while begun.elapsed() < SPAN {
                exchange(&mut stream).await?;
                count += 1;
            }
            Ok::<_, Failure>(count)
        });
    }
    rate(workers).await
}

async fn fresh(near: &Near, at_a_time: usize) -> Result<f64, Failure> {
    let mut workers = JoinSet::new();
    for _ in 0..at_a_time {
        let near = near.clone();
        workers.spawn(async move {
            let begun = Instant::now();
            let mut count = 0_u32;
            while begun.elapsed() < SPAN {
                let mut stream = near.open("echo:1", HeaderMap::new())?;
                exchange(&mut stream).await?;
                stream.shutdown().await?;
                stream.read_to_end(&mut Vec::new()).await?;
                count += 1;
            }
            Ok::<_, Failure>(count)
        });
    }
    rate(workers).await
}

async fn rate(mut workers: JoinSet<Result<u32, Failure>>) -> Result<f64, Failure> {
    let mut total = 0;
    while let Some(count) = workers.join_next().await {
        total += count??;
    }
    Ok(f64::from(total) / SPAN.as_secs_f64())
}

async fn beside(near: &Near) -> Result<(Duration, Duration), Failure> {
    let mut stream = near.open("echo:1", HeaderMap::new())?;
    let mut times = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < SPAN / 2 {
        let asked = Instant::now();
        exchange(&mut stream).await?;
        times.push(asked.elapsed());
    }
    times.sort_unstable();
    let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or_default();
    Ok((at(50), at(99)))
}

async fn exchange(stream: &mut Stream) -> Result<(), Failure> {
    let mut message = [1; SMALL];
    stream.write_all(&message).await?;
    stream.read_exact(&mut message).await?;
    Ok(())
}
