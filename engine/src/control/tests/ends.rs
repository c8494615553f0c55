//! How conversations end: at a stop, and with a successor.

use super::*;

#[tokio::test]
async fn a_stop_ends_idle_connections_and_the_server() {
    let plane = Plane::start(Engine::default(), false);
    let mut idle = plane.connect("socket").await;
    assert_eq!(plane.ask(Request::Reload).await, Response::Done("done".to_owned()));
    let _idle_page = plane.connect("pages").await;
    plane.stop.send(()).expect("is running");
    timeout(Duration::from_secs(2), plane.server).await.expect("ends").expect("in peace");
    assert_eq!(idle.read(&mut [0]).await.expect("an end"), 0);
}

#[tokio::test]
async fn a_successor_is_passed_on_and_one_of_another_version_is_refused() {
    let plane = Plane::start(Engine::default(), false);
    let hello = FromSuccessor::Hello { version: "9.9.10".to_owned(), pid: 7 };
    let hello = codec::encode(&hello).expect("short");
    let mut newer = hello.clone();
    newer[HEADER_BYTES] += 1;
    let mut stream = plane.connect("socket").await;
    stream.write_all(&newer).await.expect("sends");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("an answer and the end");
    let Ok((ToSuccessor::Refused(reason), _)) = codec::decode_frame(&answer) else {
        panic!("a refusal")
    };
    assert!(reason.contains("version 2 of the hand-over, this is version 1"), "{reason}");
    let mut stream = plane.connect("socket").await;
    stream.write_all(&hello).await.expect("sends");
    assert_eq!(stream.read(&mut [0]).await.expect("the engine has it"), 0);
    let (head, _) = plane.json("GET /health", "").await;
    assert!(head.starts_with("http/1.1 503 "), "it drains: {head}");
}

#[tokio::test]
async fn who_has_connected_before_a_stop_is_answered() {
    let plane = Plane::start(Engine::default(), false);
    // One that the server knows, and others that wait in the kernel when the stop is told.
    let mut known = plane.connect("socket").await;
    known.write_all(&codec::encode(&Request::Status).expect("short")).await.expect("sends");
    receive(&mut known).await;
    let mut waiting = Vec::new();
    for _ in 0..3 {
        waiting
            .push(std::os::unix::net::UnixStream::connect(plane.path("socket")).expect("connects"));
    }
    plane.stop.send(()).expect("it runs");
    tokio::task::yield_now().await;
    for stream in waiting {
        stream.set_nonblocking(true).expect("sets");
        let mut stream = UnixStream::from_std(stream).expect("a stream");
        stream.write_all(&codec::encode(&Request::Status).expect("short")).await.expect("sends");
        assert!(matches!(receive(&mut stream).await, Response::Status(_)));
    }
    assert_eq!(known.read(&mut [0]).await.expect("the end"), 0, "it had its answer");
    plane.server.await.expect("ends");
}
