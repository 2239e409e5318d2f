//go:build unix

package broker

import "golang.org/x/sys/unix"

// hungUp reports whether the peer of a socket has closed its end.
func hungUp(fd uintptr) bool {
	ask := []unix.PollFd{{Fd: int32(fd), Events: hangupEvents}}
	n, err := unix.Poll(ask, 0)
	return err == nil && n > 0 && ask[0].Revents&(hangupEvents|unix.POLLHUP|unix.POLLERR) != 0
}
