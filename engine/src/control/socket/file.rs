//! A Unix socket in the filesystem that only its owner can open, from its first moment on.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::runtime::os;

/// Why no socket could be bound.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    #[error("another weir answers on {}", .0.display())]
    InUse(PathBuf),
    #[error("{} exists and is not a socket; remove it, or name another path", .0.display())]
    NotASocket(PathBuf),
    #[error("{doing} {}: {source}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
}

/// A bound socket's place in the filesystem; dropping it removes the file, if it is still ours.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// `None` when it is another's.
    identity: Option<(u64, u64)>,
}

impl SocketFile {
    /// Leaves the file to a successor, which replaces it or has done so already: whoever looked first
    /// and removed it then could remove the other's.
    pub fn leave(mut self) {
        self.identity = None;
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Somebody may have replaced it, whose socket must stay.
        if self.identity.is_some() && identity(&self.path).ok() == self.identity {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Binds a listener at `path`, mode 0600 and non-blocking, making the folders above it. A socket
/// that nobody answers on is replaced.
///
/// The socket is bound where nobody else gets to, in a folder of mode 0700, given its mode, and only
/// then moved to its place: no moment exists in which another user could connect, and the
/// process-wide umask, which other threads rely on, stays as it is. Where `path`'s own folder is of
/// that kind, no other is made: on a full disk there may be no room for one.
///
/// # Errors
/// [`SocketError::InUse`] when something answers there, [`SocketError::NotASocket`] when a file
/// of another kind is in the way, [`SocketError::Io`] for what the system refuses.
pub fn bind(path: &Path) -> Result<(UnixListener, SocketFile), SocketError> {
    prepare(path, false)?.place()
}

/// A listener that is not in its place yet; dropping it leaves no trace.
pub struct Unplaced {
    path: PathBuf,
    nursery: Nursery,
    listener: UnixListener,
    identity: (u64, u64),
}

/// The first half of [`bind`]. With `replace` it does not matter who answers at `path`: it is the
/// predecessor, whose file [`Unplaced::place`] replaces.
///
/// # Errors
/// Those of [`bind`].
pub fn prepare(path: &Path, replace: bool) -> Result<Unplaced, SocketError> {
    let failed = |doing| move |source| SocketError::Io { doing, path: path.to_owned(), source };
    // A longer path could be moved to, but no client could name it.
    SockAddr::unix(path).map_err(failed("cannot bind"))?;
    let folder = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(folder)
        .map_err(failed("cannot make the folder of"))?;
    refuse_if_in_use(path, replace)?;
    let nursery = Nursery::new(folder).map_err(failed("cannot prepare"))?;
    let born = nursery.socket();
    let listener = UnixListener::bind(&born).map_err(failed("cannot bind"))?;
    listener.set_nonblocking(true).map_err(failed("cannot set up"))?;
    fs::set_permissions(&born, Permissions::from_mode(0o600)).map_err(failed("cannot protect"))?;
    let identity = identity(&born).map_err(failed("cannot look at"))?;
    Ok(Unplaced { path: path.to_owned(), nursery, listener, identity })
}

impl Unplaced {
    /// Puts the socket in its place, in one step.
    ///
    /// # Errors
    /// [`SocketError::Io`] when it cannot be moved there.
    pub fn place(self) -> Result<(UnixListener, SocketFile), SocketError> {
        let Self { path, nursery, listener, identity } = self;
        match fs::rename(nursery.socket(), &path) {
            Ok(()) => Ok((listener, SocketFile { path, identity: Some(identity) })),
            Err(source) => Err(SocketError::Io { doing: "cannot place", path, source }),
        }
    }
}

/// Where a socket is bound before it gets its place; removed with what is left of it.
struct Nursery {
    path: PathBuf,
    /// Whether the socket is inside of it, or it is the socket.
    is_folder: bool,
}

impl Nursery {
    fn new(folder: &Path) -> io::Result<Self> {
        // A process may have two in one folder.
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!(".weir-{}.{number}", std::process::id()));
        let nursery = Self { path, is_folder: !is_private(folder)? };
        // Left over from a killed process of the same id, which is common in containers.
        nursery.clear();
        if nursery.is_folder {
            DirBuilder::new().mode(0o700).create(&nursery.path)?;
        }
        Ok(nursery)
    }

    fn socket(&self) -> PathBuf {
        if self.is_folder { self.path.join("s") } else { self.path.clone() }
    }

    /// Removes only what [`bind`] itself puts there, of either kind.
    fn clear(&self) {
        let _ = fs::remove_file(self.path.join("s"));
        let _ = fs::remove_dir(&self.path);
        let _ = fs::remove_file(&self.path);
    }
}

impl Drop for Nursery {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Whether nobody but this process's user, and root, gets to what is in `folder`.
fn is_private(folder: &Path) -> io::Result<bool> {
    let metadata = fs::metadata(folder)?;
    Ok(metadata.mode() & 0o077 == 0 && metadata.uid() == os::user())
}

/// Ok when `path` is free or holds a socket, unless somebody listens there who must not be
/// replaced.
fn refuse_if_in_use(path: &Path, replace: bool) -> Result<(), SocketError> {
    let failed = |source| SocketError::Io { doing: "cannot try", path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(SocketError::NotASocket(path.to_owned()));
        }
        Ok(_) if replace => return Ok(()),
        Ok(_) => {}
    }
    match try_connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // A full backlog refuses to wait, but it is a listener's.
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(failed(error)),
        Ok(()) | Err(_) => Err(SocketError::InUse(path.to_owned())),
    }
}

/// Connects without waiting: a Unix socket connects at once or not at all.
fn try_connect(path: &Path) -> io::Result<()> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)
}

/// Device and inode.
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a folder")
    }

    #[test]
    fn a_bound_socket_is_private_and_answers() {
        let folder = folder();
        let path = folder.path().join("new/weir.sock");
        let (listener, file) = bind(&path).expect("binds");
        let mode = fs::metadata(&path).expect("exists").permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        UnixStream::connect(&path).expect("connects");
        listener.accept().expect("is there");
        let left: Vec<_> = fs::read_dir(path.parent().expect("new")).expect("lists").collect();
        assert_eq!(left.len(), 1, "only the socket is left: {left:?}");
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn a_live_socket_is_not_taken() {
        let folder = folder();
        let path = folder.path().join("weir.sock");
        let (_listener, _file) = bind(&path).expect("binds");
        let error = bind(&path).expect_err("is in use");
        assert_eq!(error.to_string(), format!("another weir answers on {}", path.display()));
        UnixStream::connect(&path).expect("still answers");
    }

    #[test]
    fn a_listener_with_a_full_backlog_is_live() {
        let folder = folder();
        let path = folder.path().join("weir.sock");
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
        socket.bind(&SockAddr::unix(&path).expect("short")).expect("binds");
        socket.listen(0).expect("listens");
        let _first = UnixStream::connect(&path).expect("fills the backlog");
        let full = try_connect(&path).expect_err("is full");
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
        assert!(matches!(bind(&path), Err(SocketError::InUse(_))));
    }

    #[test]
    fn a_dead_socket_is_replaced() {
        let folder = folder();
        let path = folder.path().join("weir.sock");
        drop(UnixListener::bind(&path).expect("binds"));
        assert!(path.exists());
        let (_listener, _file) = bind(&path).expect("replaces");
        UnixStream::connect(&path).expect("answers");
    }

    #[test]
    fn a_socket_is_private_whatever_its_folder() {
        let folder = folder();
        for mode in [0o700, 0o755] {
            fs::set_permissions(folder.path(), Permissions::from_mode(mode)).expect("it is ours");
            let path = folder.path().join("weir.sock");
            let (_listener, _file) = bind(&path).expect("binds");
            let mode = fs::metadata(&path).expect("exists").permissions().mode();
            assert_eq!(mode & 0o7777, 0o600);
            UnixStream::connect(&path).expect("answers");
        }
    }

    #[test]
    fn another_kind_of_file_stays() {
        let folder = folder();
        let path = folder.path().join("weir.sock");
        fs::write(&path, "precious").expect("writes");
        assert!(matches!(bind(&path), Err(SocketError::NotASocket(_))));
        assert_eq!(fs::read(&path).expect("reads"), b"precious");
    }

    #[test]
    fn a_successors_socket_outlives_its_predecessor() {
        let folder = folder();
        let path = folder.path().join("weir.sock");
        let (listener, old) = bind(&path).expect("binds");
        drop(listener);
        let (_listener, _new) = bind(&path).expect("replaces");
        drop(old);
        UnixStream::connect(&path).expect("the new one answers");
    }

    #[test]
    fn what_is_left_to_a_successor_stays() {
        let folder = folder();
        let path = folder.path().join("weir.sock");
        let (listener, file) = bind(&path).expect("binds");
        drop(listener);
        file.leave();
        assert!(path.exists());
        bind(&path).expect("a dead one is replaced");
    }

    #[test]
    fn what_a_killed_process_left_does_not_matter() {
        let folder = folder();
        // Whatever number is next.
        for number in 0..1000 {
            let left = folder.path().join(format!(".weir-{}.{number}", std::process::id()));
            if number % 2 == 0 {
                fs::write(&left, "").expect("writes");
                continue;
            }
            fs::create_dir(&left).expect("makes");
            fs::write(left.join("s"), "").expect("writes");
        }
        let entries = || fs::read_dir(folder.path()).expect("lists").count();
        let path = folder.path().join("weir.sock");
        let mut kept = Vec::new();
        for (round, mode) in [0o755, 0o700, 0o755, 0o700].into_iter().enumerate() {
            fs::set_permissions(folder.path(), Permissions::from_mode(mode)).expect("it is ours");
            let (listener, file) = bind(&path).expect("binds");
            drop(listener);
            kept.push(file);
            assert_eq!(entries(), 1000 - (round + 1) + 1);
        }
    }

    #[test]
    fn a_successor_takes_the_place_in_one_step_or_leaves_no_trace() {
        let folder = folder();
        let path = folder.path().join("weir.sock");
        let (old, old_file) = bind(&path).expect("binds");
        drop(prepare(&path, true).expect("prepares"));
        let two = [prepare(&path, true), prepare(&folder.path().join("b"), true)];
        let [new, other] = two.map(|prepared| prepared.expect("prepares beside the other"));
        UnixStream::connect(&path).expect("connects");
        old.accept().expect("it is the old one until then");
        let (new, _new_file) = new.place().expect("takes the place");
        UnixStream::connect(&path).expect("connects");
        new.accept().expect("it is the new one");
        drop((old_file, other));
        UnixStream::connect(&path).expect("the old one's end changes nothing");
        assert_eq!(fs::read_dir(folder.path()).expect("lists").count(), 1);
    }

    #[test]
    fn too_long_a_path_is_an_error_that_names_it() {
        let folder = folder();
        let path = folder.path().join("x".repeat(120));
        let error = bind(&path).expect_err("is too long").to_string();
        assert!(error.starts_with("cannot ") && error.contains("xxx"), "{error}");
    }
}
