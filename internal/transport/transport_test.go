package transport

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	for _, c := range []struct{ url, want string }{
		{"tcp://localhost:1883", ""},
		{"tcp://localhost", ""},
		{"TCP://localhost/", ""},
		{"mqtt://[::1]:1883", ""},
		{"mqtt://[fe80::1%25eth0]", ""},
		{"tcp://:1883", ""},
		{"unix:///run/colibri.sock", ""},
		{"localhost:1883", "has no scheme: write it as tcp://"},
		{"", "has no scheme"},
		{"htp://localhost", `has the unknown scheme "htp": use one of mqtt, mqtts, quic, ssl, tcp, tls, unix`},
		{"tcp://::1:1883", "brackets"},
		{"tcp://localhost:port", "invalid port"},
		{"tcp://localhost/topic", `leave "/topic" out`},
		{"tcp://localhost?x=y", "query"},
		{"tcp://me:secret@localhost", "User Name"},
		{"tcp://me:secret@localhost:port", "invalid port"},
		{"htp://me:secret@localhost", "unknown scheme"},
		{"me:secret@localhost", "no scheme"},
		{"unix://run/colibri.sock", "three slashes"},
		{"unix://", "three slashes"},
		{"unix:///" + strings.Repeat("x", 110), "has 111 bytes"},
	} {
		err := Check(c.url)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("Check(%q): got %v, want %q", c.url, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("Check(%q): the error shows the Password: %v", c.url, err)
		}
		if _, listenErr := Listen(c.url, Options{}); err != nil && (listenErr == nil || listenErr.Error() != err.Error()) {
			t.Errorf("Listen(%q): got %v, want %v", c.url, listenErr, err)
		}
	}
}

// TestEcho sends a text there and back over every transport.
func TestEcho(t *testing.T) {
	memory := NewMemory()
	for name, open := range map[string]func() (net.Listener, func() (net.Conn, error), error){
		"tcp": func() (net.Listener, func() (net.Conn, error), error) {
			l, err := Listen("tcp://127.0.0.1:0", Options{})
			return l, func() (net.Conn, error) {
				return Dial(t.Context(), "mqtt://"+l.Addr().String(), Options{})
			}, err
		},
		"tcp6": func() (net.Listener, func() (net.Conn, error), error) {
			l, err := Listen("tcp://[::1]:0", Options{})
			return l, func() (net.Conn, error) {
				return Dial(t.Context(), "tcp://"+l.Addr().String(), Options{})
			}, err
		},
		"unix": func() (net.Listener, func() (net.Conn, error), error) {
			url := "unix://" + filepath.Join(t.TempDir(), "socket")
			l, err := Listen(url, Options{})
			return l, func() (net.Conn, error) { return Dial(t.Context(), url, Options{}) }, err
		},
		"memory": func() (net.Listener, func() (net.Conn, error), error) {
			return memory, func() (net.Conn, error) { return memory.Dial(t.Context()) }, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			l, dial, err := open()
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			served := make(chan error, 1)
			go func() {
				nc, err := l.Accept()
				if err == nil {
					_, err = io.Copy(nc, nc)
					nc.Close()
				}
				served <- err
			}()
			nc, err := dial()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := nc.Write([]byte("hello")); err != nil {
				t.Fatal(err)
			}
			nc.(interface{ CloseWrite() error }).CloseWrite()
			got, err := io.ReadAll(nc)
			if string(got) != "hello" || err != nil {
				t.Errorf("got %q, %v, want %q", got, err, "hello")
			}
			nc.Close()
			if err := <-served; err != nil {
				t.Errorf("the other end: got %v", err)
			}
			l.Close()
			if nc, err := dial(); err == nil {
				nc.Close()
				t.Error("dial after the listener was closed: got a connection")
			}
		})
	}
}

func TestDialGivesUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, url := range []string{"tcp://127.0.0.1:1", "unix:///nonexistent"} {
		if _, err := Dial(ctx, url, Options{}); err == nil {
			t.Errorf("Dial(%q) with a context that is done: got no error", url)
		}
	}
	if _, err := NewMemory().Dial(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Memory.Dial with a context that is done: got %v", err)
	}
}

func TestUnixSocketFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	url := "unix://" + path

	l, err := Listen(url, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("mode of nobody's choice: got %v, %v, want none for others", info.Mode(), err)
	}
	l.Close()
	l, err = Listen(url, Options{SocketMode: 0o660})
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("mode: got %v, %v, want 0660", info, err)
	}
	if _, err := Listen(url, Options{}); err == nil || !strings.Contains(err.Error(), "another process listens") {
		t.Errorf("Listen where someone listens: got %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("file after Close: got %v, want none", err)
	}

	// A process that was killed leaves its file.
	l, err = Listen(url, Options{})
	if err != nil {
		t.Fatal(err)
	}
	l.(*unixListener).UnixListener.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Fatalf("stale file: %v", err)
	}
	if l, err = Listen(url, Options{}); err != nil {
		t.Fatalf("Listen over a stale file: got %v", err)
	}
	l.Close()

	// What is no socket stays.
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(url, Options{}); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("Listen over a file: got %v", err)
	}
	if text, _ := os.ReadFile(path); string(text) != "precious" {
		t.Errorf("the file: got %q", text)
	}

	// Nor does Close remove what has taken the place of its socket.
	other := filepath.Join(t.TempDir(), "other")
	if l, err = Listen("unix://"+other, Options{}); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, other); err != nil {
		t.Fatal(err)
	}
	l.Close()
	if text, _ := os.ReadFile(other); string(text) != "precious" {
		t.Errorf("the file in the place of the socket: got %q", text)
	}
}

// TestUnixSocketOwner gives sockets to users and groups: to its own, which anybody may.
func TestUnixSocketOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	own := strconv.Itoa(os.Getgid())
	l, err := Listen("unix://"+path, Options{SocketMode: 0o666, SocketOwner: strconv.Itoa(os.Getuid()), SocketGroup: own})
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o666 {
		t.Errorf("mode: got %v, %v, want 0666", info, err)
	}
	l.Close()
	for _, c := range []struct {
		options Options
		text    string
	}{
		{Options{SocketOwner: "no-such-user"}, "no user 'no-such-user'"},
		{Options{SocketGroup: "no-such-group"}, "no group 'no-such-group'"},
		{Options{SocketOwner: "-1"}, "no user '-1'"},
	} {
		if _, err := Listen("unix://"+path, c.options); err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("got %v, want %q", err, c.text)
		}
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the socket is left: %v", err)
		}
	}
}
