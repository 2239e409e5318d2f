//go:build unix

package proxy

import (
	"io"
	"net"
	"path/filepath"
	"syscall"
	"testing"
)

// TestListenDescriptor shows that connections of real sockets keep their descriptor, and
// that who opens a Unix domain socket is trusted.
func TestListenDescriptor(t *testing.T) {
	for network, address := range map[string]string{"tcp": "127.0.0.1:0", "unix": filepath.Join(t.TempDir(), "socket")} {
		below, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		l := Listen(below, Options{Version: 2})
		client, err := net.Dial(network, below.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(client, v2(1, 0x11, four)+"rest")
		nc, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		raw, err := nc.(syscall.Conn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 10)
		n := 0
		raw.Read(func(fd uintptr) bool {
			n, err = syscall.Read(int(fd), got)
			return err != syscall.EAGAIN
		})
		if string(got[:max(0, n)]) != "rest" || nc.RemoteAddr().String() != "192.0.2.1:40000" || nc.LocalAddr().String() != below.Addr().String() {
			t.Errorf("%s: got %q on the descriptor, %v and %v", network, got[:max(0, n)], nc.RemoteAddr(), nc.LocalAddr())
		}
		client.Close()
		nc.Close()
		l.Close()
	}
}
