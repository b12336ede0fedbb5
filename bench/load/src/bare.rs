//! The lower bound for any relay: writes one ready-made WebSocket frame to each socket, and does
//! nothing else.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use cv_protocol::Timestamp;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

#[derive(Args)]
pub struct BareArgs {
    /// Port to listen on; 0 chooses a free port and prints it.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Number of connected viewers at which the writing starts.
    #[arg(long, default_value_t = 100)]
    viewers: usize,
    #[arg(long, default_value_t = 30.0)]
    fps: f64,
    /// Size of a frame's payload in bytes.
    #[arg(long, default_value_t = 40_000)]
    bytes: u16,
}

/// Accepts the viewers, then writes frames until a viewer leaves.
pub fn serve(args: &BareArgs) -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", args.port))?;
    println!("listening on {}", listener.local_addr()?);
    let mut sockets = Vec::with_capacity(args.viewers);
    while sockets.len() < args.viewers {
        let (socket, _) = listener.accept()?;
        sockets.push(upgrade(socket)?);
    }
    // The first byte means FIN and binary; a 16-bit length follows.
    let mut frame = vec![0x82, 126];
    frame.extend(args.bytes.to_be_bytes());
    let header = frame.len();
    frame.resize(header + usize::from(args.bytes), 0);
    let interval = Duration::from_secs_f64(1.0 / args.fps);
    let started = Instant::now();
    for seq in 0_u32.. {
        std::thread::sleep((interval * seq).saturating_sub(started.elapsed()));
        let times = frame
            .get_mut(header..header + 16)
            .context("--bytes must be at least 16")?;
        let (first, second) = times.split_at_mut(8);
        first.copy_from_slice(&u64::from(seq).to_be_bytes());
        second.copy_from_slice(&Timestamp::now().0.to_be_bytes());
        for socket in &mut sockets {
            if socket.write_all(&frame).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Answers the WebSocket handshake.
fn upgrade(mut socket: TcpStream) -> Result<TcpStream> {
    socket.set_nodelay(true)?;
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        socket.read_exact(&mut byte)?;
        request.push(byte[0]);
    }
    let request = String::from_utf8_lossy(&request);
    let key = request
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"))
        .map(|(_, key)| key.trim())
        .context("no WebSocket handshake")?;
    let accept = derive_accept_key(key.as_bytes());
    write!(
        socket,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )?;
    Ok(socket)
}
