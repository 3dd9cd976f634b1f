//! The network: off, a listener of ours, and connections told apart.

use std::net::SocketAddr;
use std::path::Path;

use outcrop_adapters::sandbox::{Confinement, Network};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{folder, line, printed, python, run, sandboxes};

/// Tries ways to reach a port, and prints those that went through.
fn reach(address: SocketAddr, directory: &Path) -> Confinement {
    let script = format!(
        "import socket\n\
         address = ('{}', {})\n\
         def attempt(name, action):\n\
         \x20 try:\n    action(); print(name)\n\
         \x20 except OSError: pass\n\
         attempt('tcp', lambda: socket.create_connection(address, 2))\n\
         def fast():\n\
         \x20 s = socket.socket(); s.settimeout(2); s.sendto(b'x', socket.MSG_FASTOPEN, address)\n\
         attempt('fast open', fast)\n\
         attempt('mptcp', lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262).connect(address))\n\
         attempt('udp', lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('192.0.2.1', 53)))\n\
         attempt('raw', lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))\n\
         attempt('packet', lambda: socket.socket(17, socket.SOCK_RAW, 0))\n\
         attempt('vsock', lambda: socket.socket(40, socket.SOCK_STREAM, 0))\n\
         attempt('bind', lambda: socket.create_server(('0.0.0.0', 0)) if False else None)\n\
         print('done')",
        address.ip(),
        address.port()
    );
    python(&script, directory)
}

#[tokio::test]
async fn off_is_off() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    for (name, sandbox) in sandboxes() {
        assert_eq!(sandbox.strength().network_off(), Ok(()), "{name}");
        let own = folder();
        let (printed, _) = run(&sandbox, reach(address, own.path())).await;
        assert_eq!(printed, "bind\ndone\n", "{name}");
    }
}

#[tokio::test]
async fn open_is_open() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    for (name, sandbox) in sandboxes() {
        let own = folder();
        let mut confinement = reach(address, own.path());
        confinement.network = Network::Open;
        let (printed, _) = run(&sandbox, confinement).await;
        assert!(printed.starts_with("tcp\n"), "{name}: {printed}");
        assert!(!printed.contains("raw"), "{name}: {printed}");
    }
}

#[tokio::test]
async fn a_listener_of_ours_is_reached_whatever_the_network() {
    let script = "import os, socket\n\
                  host, port = os.environ['API'].split(':')\n\
                  s = socket.create_connection((host, int(port)))\n\
                  s.sendall(b'hello'); print(s.recv(100).decode())";
    for network in [Network::Off, Network::Open] {
        for (name, sandbox) in sandboxes() {
            let own = folder();
            let mut confinement = python(script, own.path());
            confinement.network = network;
            confinement.listener = Some("API".to_owned());
            let mut child = sandbox.spawn(confinement).await.unwrap();
            let listener = child.listener.take().unwrap();
            let (mut stream, peer) = listener.accept().await.unwrap();
            let local = stream.local_addr().unwrap();
            let namespaced = name == "strong" && network == Network::Off;
            // In a network of its own nobody else can be the peer.
            assert_eq!(
                child.is_peer(local, peer),
                !namespaced,
                "{name} {network:?}"
            );
            let mut hello = [0; 5];
            stream.read_exact(&mut hello).await.unwrap();
            assert_eq!(&hello, b"hello");
            stream.write_all(b"welcome").await.unwrap();
            assert_eq!(printed(&mut child).await, "welcome\n", "{name} {network:?}");
        }
    }
}

#[tokio::test]
async fn connections_from_inside_are_told_apart() {
    let script = "import os, socket, sys, array\n\
                  address = ('127.0.0.1', int(os.environ['PORT']))\n\
                  s = socket.create_connection(address)\n\
                  print('held', flush=True); sys.stdin.readline()\n\
                  one, other = socket.socketpair()\n\
                  hidden = socket.create_connection(address)\n\
                  socket.send_fds(one, [b'x'], [hidden.fileno()]); hidden.close()\n\
                  print('hidden', flush=True); sys.stdin.readline()";
    for (name, sandbox) in sandboxes() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let local = listener.local_addr().unwrap();
        let own = folder();
        let mut confinement = python(script, own.path());
        confinement.network = Network::Open;
        confinement.stdin = outcrop_adapters::sandbox::Input::Pipe;
        let port = local.port().to_string();
        confinement.environment.insert("PORT".into(), port.into());
        let mut child = sandbox.spawn(confinement).await.unwrap();
        for expected in ["held", "hidden"] {
            let (_stream, peer) = listener.accept().await.unwrap();
            assert_eq!(line(&mut child).await, expected);
            assert!(sandbox.is_inside(local, peer), "{name}: {expected}");
            let stdin = child.stdin.as_mut().unwrap();
            stdin.write_all(b"go\n").await.unwrap();
        }
        let ours = TcpStream::connect(local).await.unwrap();
        let peer = ours.local_addr().unwrap();
        assert!(
            !sandbox.is_inside(local, peer),
            "{name}: a client of the server's own"
        );
    }
}
