package pcap

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Live captures the frames of a network interface as they come. Next is for one goroutine;
// Close may be called from another and ends it.
type Live struct {
	closed atomic.Bool
	file   *os.File
	raw    syscall.RawConn
	number int
	buffer []byte
	frame  Frame
}

// liveBufferBytes is how much the kernel may hold for a Live that is slow.
const liveBufferBytes = 16 << 20

// anyInterface is the name of all interfaces together.
const anyInterface = "any"

// Listen begins to capture an interface, or all with the name "any". It needs root, or the
// capability CAP_NET_RAW: without, the error is os.ErrPermission.
func Listen(name string) (*Live, error) {
	index := 0
	if name != anyInterface {
		i, err := net.InterfaceByName(name)
		if err != nil {
			return nil, fmt.Errorf("there is no interface %s; there are %s", name, interfaceNames())
		}
		index = i.Index
	}
	const all = unix.ETH_P_ALL>>8 | unix.ETH_P_ALL&0xFF<<8 // in network byte order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, all)
	if errors.Is(err, unix.EPERM) {
		return nil, os.ErrPermission
	}
	if err != nil {
		return nil, fmt.Errorf("open a socket for %s: %w", name, err)
	}
	file := os.NewFile(uintptr(fd), name)
	// Without a larger buffer frames are lost earlier, which Dropped says.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, liveBufferBytes)
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: index}); err != nil {
		file.Close()
		return nil, fmt.Errorf("listen to %s: %w", name, err)
	}
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("listen to %s: %w", name, err)
	}
	return &Live{file: file, raw: raw, buffer: make([]byte, MaxFrameBytes)}, nil
}

func interfaceNames() string {
	names := anyInterface
	list, _ := net.Interfaces()
	for _, i := range list {
		names += ", " + i.Name
	}
	return names
}

// Next waits for the next frame. It is valid until the call after. After Close the error
// is os.ErrClosed.
func (l *Live) Next() (*Frame, error) {
	for {
		var n int
		var from unix.Sockaddr
		var failed error
		err := l.raw.Read(func(fd uintptr) bool {
			n, from, failed = unix.Recvfrom(int(fd), l.buffer, unix.MSG_TRUNC)
			return !errors.Is(failed, unix.EAGAIN)
		})
		if l.closed.Load() {
			return nil, os.ErrClosed
		}
		if err != nil {
			return nil, err
		}
		if errors.Is(failed, unix.EINTR) {
			continue
		}
		if failed != nil {
			return nil, failed
		}
		link, ok := from.(*unix.SockaddrLinklayer)
		if !ok || link.Hatype == unix.ARPHRD_LOOPBACK && link.Pkttype == unix.PACKET_OUTGOING {
			continue // each frame of lo comes twice
		}
		l.number++
		l.frame = Frame{Number: l.number, Time: time.Now().UTC(), Link: hardware(link.Hatype), Length: n, Data: l.buffer[:min(n, len(l.buffer))]}
		return &l.frame, nil
	}
}

// hardware is the link type of an interface by its ARP hardware type.
func hardware(kind uint16) LinkType {
	switch kind {
	case unix.ARPHRD_ETHER, unix.ARPHRD_LOOPBACK:
		return Ethernet
	}
	return Raw // tunnels have no link layer
}

// Dropped returns how many frames the kernel has dropped since it was asked last, because
// they came faster than they were taken.
func (l *Live) Dropped() int {
	dropped := 0
	_ = l.raw.Control(func(fd uintptr) {
		if stats, err := unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
			dropped = int(stats.Drops)
		}
	})
	return dropped
}

// Close ends the capture, and a call of Next that waits.
func (l *Live) Close() error {
	l.closed.Store(true)
	return l.file.Close()
}
