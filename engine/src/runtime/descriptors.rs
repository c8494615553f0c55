//! Passing open descriptors to another process, over a Unix socket (unix(7), `SCM_RIGHTS`).
//!
//! Invariant: every descriptor that arrives is owned from the moment the kernel installs it.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// What the kernel passes in one message (`SCM_MAX_FD`).
pub const DESCRIPTORS_MAX: usize = 253;

const CONTROL_WORDS: usize = 160;
/// Room for the header and the most descriptors, aligned as the header must be.
type Control = [u64; CONTROL_WORDS];

const _: () = assert!(CONTROL_WORDS * 8 >= DESCRIPTORS_MAX * size_of::<RawFd>() + 64);

/// Sends a prefix of `bytes`, and with its first byte copies of `descriptors`; returns the
/// prefix's length.
///
/// # Errors
/// `InvalidInput` when there are no bytes or too many descriptors; else whatever sendmsg says.
pub fn send(
    socket: &impl AsRawFd,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<usize> {
    if bytes.is_empty() || descriptors.len() > DESCRIPTORS_MAX {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut control: Control = [0; CONTROL_WORDS];
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: msghdr is plain data, for which zeros mean "no name, no control data".
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    if !descriptors.is_empty() {
        let length = u32::try_from(size_of_val(descriptors)).map_err(io::Error::other)?;
        message.msg_control = control.as_mut_ptr().cast();
        // SAFETY: both only compute from their argument.
        let (space, filled) = unsafe { (libc::CMSG_SPACE(length), libc::CMSG_LEN(length)) };
        message.msg_controllen = space as _;
        // SAFETY: the control buffer is zeroed, aligned, and larger than `space` (asserted above
        // for the most descriptors), so its first header and that header's data lie within it.
        // A BorrowedFd is a RawFd in memory (`repr(transparent)`), and the data may be unaligned.
        unsafe {
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = filled as _;
            std::ptr::copy_nonoverlapping(
                descriptors.as_ptr().cast::<u8>(),
                libc::CMSG_DATA(header),
                size_of_val(descriptors),
            );
        }
    }
    uninterrupted(|| {
        // SAFETY: `message` points to `part`, `bytes` and `control`, which outlive the call.
        unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) }
    })
}

/// Receives some bytes, and appends the descriptors that came with them to `descriptors`. None is
/// inherited by programs that this process starts.
///
/// # Errors
/// Whatever recvmsg says; `InvalidData` when descriptors were lost for want of room.
pub fn receive(
    socket: &impl AsRawFd,
    bytes: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    let mut control: Control = [0; CONTROL_WORDS];
    let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    // SAFETY: as in `send`.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control) as _;
    let received = uninterrupted(|| {
        // SAFETY: `message` points to `part`, `bytes` and `control`, which are writable for their
        // lengths and outlive the call.
        unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) }
    })?;
    // SAFETY: the kernel has filled `control` and set its length in `message`; CMSG_FIRSTHDR and
    // CMSG_NXTHDR stay within that, and each header says how long its data is. Every descriptor
    // was installed for this process by that call, and nobody else knows it.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(&raw const message);
        while !header.is_null() {
            if (*header).cmsg_level == libc::SOL_SOCKET && (*header).cmsg_type == libc::SCM_RIGHTS {
                let data = libc::CMSG_DATA(header).cast::<RawFd>();
                let length = ((*header).cmsg_len as usize) - libc::CMSG_LEN(0) as usize;
                for index in 0..length / size_of::<RawFd>() {
                    let descriptor = data.add(index).read_unaligned();
                    descriptors.push(OwnedFd::from_raw_fd(descriptor));
                }
            }
            header = libc::CMSG_NXTHDR(&raw const message, header);
        }
    }
    if message.msg_flags & libc::MSG_CTRUNC != 0 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(received)
}

/// Calls again after a signal; nothing has happened then.
fn uninterrupted(mut call: impl FnMut() -> isize) -> io::Result<usize> {
    loop {
        match usize::try_from(call()) {
            Ok(count) => return Ok(count),
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => {}
                error => return Err(error),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_passed_descriptor_is_the_same_socket() {
        let (here, there) = UnixStream::pair().expect("a pair");
        let (mut near, far) = UnixStream::pair().expect("a pair");
        let passed = [far.as_fd(), there.as_fd()];
        assert_eq!(send(&here, b"abc", &passed).expect("sends"), 3);
        drop(far);
        let (mut bytes, mut descriptors) = ([0; 8], Vec::new());
        assert_eq!(receive(&there, &mut bytes, &mut descriptors).expect("receives"), 3);
        assert_eq!((&bytes[..3], descriptors.len()), (&b"abc"[..], 2));
        let mut copy = UnixStream::from(descriptors.swap_remove(0));
        near.write_all(b"x").expect("writes");
        let mut byte = [0];
        copy.read_exact(&mut byte).expect("it is the other end");
        assert_eq!(&byte, b"x");
        // SAFETY: asks for a flag of a descriptor that `copy` keeps open.
        let flags = unsafe { libc::fcntl(copy.as_raw_fd(), libc::F_GETFD) };
        assert_ne!(flags & libc::FD_CLOEXEC, 0);
    }

    #[test]
    fn bytes_come_without_descriptors_too() {
        let (here, there) = UnixStream::pair().expect("a pair");
        assert_eq!(send(&here, b"abc", &[]).expect("sends"), 3);
        let (mut bytes, mut descriptors) = ([0; 2], Vec::new());
        assert_eq!(receive(&there, &mut bytes, &mut descriptors).expect("receives"), 2);
        assert!(descriptors.is_empty());
        drop(here);
        assert_eq!(receive(&there, &mut bytes, &mut descriptors).expect("receives"), 1);
        assert_eq!(receive(&there, &mut bytes, &mut descriptors).expect("the end"), 0);
    }

    #[test]
    fn as_many_pass_as_the_kernel_takes() {
        let (here, there) = UnixStream::pair().expect("a pair");
        let many = [here.as_fd(); DESCRIPTORS_MAX];
        assert_eq!(send(&here, b"a", &many).expect("sends"), 1);
        let (mut bytes, mut descriptors) = ([0; 1], Vec::new());
        receive(&there, &mut bytes, &mut descriptors).expect("receives");
        assert_eq!(descriptors.len(), DESCRIPTORS_MAX);
        let error = send(&here, b"a", &[here.as_fd(); DESCRIPTORS_MAX + 1]);
        assert_eq!(error.expect_err("too many").kind(), io::ErrorKind::InvalidInput);
    }
}
