//go:build unix

package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// start returns the path of a Server's socket.
func start(t *testing.T, handlers map[string]Handler) (string, *Server) {
	t.Helper()
	dir, err := os.MkdirTemp("", "c") // that of t.TempDir may be too long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "control")
	s, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, h := range handlers {
		s.Handle(name, h)
	}
	go s.Serve()
	t.Cleanup(s.Close)
	return path, s
}

func TestAsk(t *testing.T) {
	path, _ := start(t, map[string]Handler{
		"sum": func(_ context.Context, ask url.Values, w io.Writer) error {
			return json.NewEncoder(w).Encode(map[string]string{"is": ask.Get("a") + ask.Get("b")})
		},
		"no": func(context.Context, url.Values, io.Writer) error {
			return errors.New("there is no client 'x': look at colibri top")
		},
		"half": func(_ context.Context, _ url.Values, w io.Writer) error {
			io.WriteString(w, `{"is":`)
			return errors.New("lost")
		},
	})
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket: got %v, %v, want mode 0600", info.Mode(), err)
	}
	var got map[string]string
	if err := AskJSON(t.Context(), path, "sum", url.Values{"a": {"ä&"}, "b": {"=?"}}, &got); err != nil || got["is"] != "ä&=?" {
		t.Errorf("got %q, %v", got, err)
	}
	refused := func(name, want string) {
		t.Helper()
		_, err := Ask(t.Context(), path, name, nil)
		if r, ok := errors.AsType[*Refused](err); !ok || r.Text != want {
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
	}
	refused("no", "there is no client 'x': look at colibri top")
	refused("unknown", "this broker does not know the question: take the program of the version that the broker has")
	if err := AskJSON(t.Context(), path, "half", nil, &got); err == nil || !strings.Contains(err.Error(), "the answer broke off") {
		t.Errorf("half an answer: got %v", err)
	}
	answer, err := Ask(t.Context(), path, "half", nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(answer); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("half a stream: got %q, %v", b, err)
	}
	answer.Close()
}

// TestStream reads an answer that goes on, until the asker or the Server has had enough.
func TestStream(t *testing.T) {
	ended := make(chan error, 2)
	path, s := start(t, map[string]Handler{"ticks": func(ctx context.Context, _ url.Values, w io.Writer) error {
		io.WriteString(w, "tick\n")
		<-ctx.Done()
		_, err := io.WriteString(w, "tock\n")
		ended <- err
		return err
	}})
	for _, enough := range []func(answer io.Closer){
		func(answer io.Closer) { answer.Close() },
		func(io.Closer) { s.Close() },
	} {
		answer, err := Ask(t.Context(), path, "ticks", nil)
		if err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(answer).ReadString('\n'); line != "tick\n" {
			t.Fatalf("got %q, %v", line, err)
		}
		enough(answer)
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			t.Fatal("the handler does not hear that it is over")
		}
		answer.Close()
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("the socket is still there")
	}
}

func TestCrowd(t *testing.T) {
	path, _ := start(t, map[string]Handler{"wait": func(ctx context.Context, _ url.Values, w io.Writer) error {
		io.WriteString(w, "\n")
		<-ctx.Done()
		return nil
	}})
	for range maxAskers {
		answer, err := Ask(t.Context(), path, "wait", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Close()
	}
	_, err := Ask(t.Context(), path, "wait", nil)
	if want := fmt.Sprintf("%d others ask the broker already: end one, or try again", maxAskers); err == nil || err.Error() != want {
		t.Errorf("got %v, want %q", err, want)
	}
}

func TestAbsent(t *testing.T) {
	dir, err := os.MkdirTemp("", "c")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "control")
	ask := func(want string) {
		t.Helper()
		_, err := Ask(t.Context(), path, "x", nil)
		if a, ok := errors.AsType[*Absent](err); !ok || a.Err.Error() != want {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	ask("there is no such socket")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path); err == nil || !strings.Contains(err.Error(), "another process listens there") {
		t.Errorf("where another one listens: got %v", err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	ask("the broker that has made the socket has ended")
	s, err := Listen(path) // takes over what was left
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if _, err := Listen("/" + strings.Repeat("x", 200)); err == nil || !strings.Contains(err.Error(), "choose one of") {
		t.Errorf("a long path: got %v", err)
	}
}
