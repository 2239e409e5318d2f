package transport

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestPipeBothWrite shows that two ends which write at once, before either reads, go on.
func TestPipeBothWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe()
		text := make([]byte, pipeBytes)
		for _, nc := range []net.Conn{a, b} {
			if n, err := nc.Write(text); n != len(text) || err != nil {
				t.Fatalf("Write: got %d, %v", n, err)
			}
		}
	})
}

// TestPipeCarriesAll sends random pieces through a small pipe.
func TestPipeCarriesAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := PipeSize(100)
		want := make([]byte, 50_000)
		random := rand.New(rand.NewPCG(1, 2))
		for i := range want {
			want[i] = byte(random.Uint32())
		}
		var wait sync.WaitGroup
		wait.Go(func() {
			for rest := want; len(rest) > 0; {
				n := min(len(rest), 1+random.IntN(300))
				if _, err := a.Write(rest[:n]); err != nil {
					t.Errorf("Write: %v", err)
				}
				rest = rest[n:]
			}
			a.Close()
		})
		got, err := io.ReadAll(pieces{b})
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("got %d bytes, %v, want the %d that were written", len(got), err, len(want))
		}
		wait.Wait()
	})
}

// pieces reads in pieces of 37 bytes at most.
type pieces struct{ io.Reader }

func (r pieces) Read(b []byte) (int, error) { return r.Reader.Read(b[:min(len(b), 37)]) }

func TestPipeDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := PipeSize(4)
		start := time.Now()
		a.SetReadDeadline(start.Add(3 * time.Second))
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read: got %v", err)
		}
		if got := time.Since(start); got != 3*time.Second {
			t.Errorf("Read returned after %v, want 3s", got)
		}
		var timeout net.Error
		if _, err := a.Read(make([]byte, 1)); !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("Read after its deadline: got %v, want a time-out", err)
		}
		a.SetWriteDeadline(time.Now().Add(time.Second))
		if n, err := a.Write([]byte("hello")); n != 4 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Write to a peer that does not read: got %d, %v, want 4 and a time-out", n, err)
		}

		// A deadline that is moved frees a reader, and one that is lifted is gone.
		a.SetReadDeadline(time.Time{})
		go func() {
			time.Sleep(time.Second)
			a.SetReadDeadline(time.Now())
		}()
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read with a deadline set meanwhile: got %v", err)
		}
		a.SetDeadline(time.Now().Add(time.Second))
		a.SetDeadline(time.Time{})
		go func() {
			time.Sleep(time.Minute)
			b.Write([]byte("x"))
		}()
		if n, err := a.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Errorf("Read without deadline: got %d, %v", n, err)
		}
	})
}

func TestPipeClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe()
		a.Write([]byte("last words"))
		go func() {
			time.Sleep(time.Second)
			a.Close()
		}()
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Read during Close: got %v, want net.ErrClosed", err)
		}
		if _, err := a.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Write after Close: got %v, want net.ErrClosed", err)
		}
		if got, err := io.ReadAll(b); string(got) != "last words" || err != nil {
			t.Errorf("the peer reads %q, %v, want what was written before Close", got, err)
		}
		if _, err := b.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("the peer writes: got %v, want io.ErrClosedPipe", err)
		}
		a.Close()
		b.Close()
	})
}

// TestMemoryClose shows that Close frees those who wait in Accept and Dial.
func TestMemoryClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory()
		errs := make(chan error, 2)
		go func() {
			_, err := m.Accept()
			errs <- err
			m = NewMemory()
			go m.Close()
			_, err = m.Dial(t.Context())
			errs <- err
		}()
		synctest.Wait()
		m.Close()
		for range 2 {
			if err := <-errs; !errors.Is(err, net.ErrClosed) {
				t.Errorf("got %v, want net.ErrClosed", err)
			}
		}
	})
}
