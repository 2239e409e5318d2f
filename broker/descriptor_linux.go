package broker

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The descriptors are non-blocking, so these calls return at once. They go past the
// scheduler's bookkeeping for system calls that may block, which costs as much as a
// small read does.

const haveDescriptors = true

func readDescriptor(fd uintptr, b []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// writeDescriptor writes b to a socket; more says that the rest of the packet follows at
// once, so that both travel together.
func writeDescriptor(fd uintptr, b []byte, more bool) (int, error) {
	flags := uintptr(syscall.MSG_DONTWAIT | syscall.MSG_NOSIGNAL)
	if more {
		flags |= msgMore
	}
	n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), flags, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

const msgMore = 0x8000 // MSG_MORE, which package syscall lacks

// hangupEvents are what poll tells of a peer that has closed its end.
const hangupEvents = unix.POLLRDHUP
