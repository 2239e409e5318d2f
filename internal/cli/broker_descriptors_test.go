//go:build unix

package cli

import (
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// fewDescriptors leaves this process so many descriptors until the test ends.
func fewDescriptors(t *testing.T, left uint64) {
	t.Helper()
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	next := uint64(f.Fd())
	f.Close()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	few := limit
	few.Cur = 0
	for range next + left { // its type differs between systems
		few.Cur++
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Error(err)
		}
	})
}

// TestBrokerKeepsDescriptors covers strangers that connect and are silent: they do not get
// all descriptors, the log says it, and when they leave there is room again.
func TestBrokerKeepsDescriptors(t *testing.T) {
	connect := []byte("\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01q")
	for _, more := range []string{"", "protocol websockets\n"} {
		t.Run(more, func(t *testing.T) {
			fewDescriptors(t, 60)
			b := startConfigured(t, "listener 0 127.0.0.1\nallow_anonymous true\npersistence false\n"+more)
			address := b.address()
			var strangers []net.Conn
			for range 30 {
				nc, err := net.Dial("tcp", address)
				if err != nil {
					t.Fatal(err)
				}
				defer nc.Close()
				strangers = append(strangers, nc)
			}
			b.until(`Connections are closed at once from here on, when there are too many: this process may have \d+ file descriptors ` +
				`and keeps \d+ of them for other files\. Raise the limit with 'ulimit -n', or LimitNOFILE of systemd\.`)
			b.until(`Limit reached \(file descriptors\): 1 times, the last time by a connection from 127\.0\.0\.1:\d+`)
			for _, nc := range strangers {
				nc.Close()
			}
			answer := make([]byte, 4)
			for late := time.Now().Add(patience); more == "" && answer[0] != 0x20; { // the broker may not have seen all of them go
				if time.Now().After(late) {
					t.Fatal("nobody can connect after the strangers have left")
				}
				nc, err := net.Dial("tcp", address)
				if err != nil {
					t.Fatal(err)
				}
				nc.Write(connect)
				nc.Read(answer)
				nc.Close()
			}
			b.end()
			if text, _ := b.stderr.now(); strings.Contains(text, "annot accept") {
				t.Errorf("got %s, want that there was always a descriptor to accept with", text)
			}
		})
	}
}
