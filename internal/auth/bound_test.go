package auth

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/colibri-mqtt/colibri"
)

func TestBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBound(2, 1)
		ctx, cancel := context.WithCancel(t.Context())
		for range 2 {
			if err := b.Enter(ctx); err != nil {
				t.Fatal(err)
			}
		}
		waited := make(chan error, 2)
		go func() { waited <- b.Enter(ctx) }()
		synctest.Wait()
		if err := b.Enter(ctx); !errors.Is(err, colibri.ServerBusy) || b.Turned() != 1 {
			t.Errorf("the fourth: got %v, %d turned away; want ServerBusy, 1", err, b.Turned())
		}
		b.Leave()
		if err := <-waited; err != nil {
			t.Errorf("the third, after one has left: got %v", err)
		}
		go func() { waited <- b.Enter(ctx) }()
		synctest.Wait()
		cancel()
		if err := <-waited; !errors.Is(err, colibri.ServerBusy) || b.Turned() != 1 {
			t.Errorf("at the end of its context: got %v, %d turned away; want ServerBusy, 1", err, b.Turned())
		}
		b.Leave()
		if err := b.Enter(t.Context()); err != nil {
			t.Errorf("after all have left: got %v", err)
		}
	})
}

// TestCause covers the errors of net/http, which hold URLs.
func TestCause(t *testing.T) {
	err := &url.Error{Op: "Post", URL: "https://me:hush@x/?key=hush", Err: errors.New("connection refused")}
	if got := Cause(err); got != "connection refused" {
		t.Errorf("got %q", got)
	}
	if got := Cause(&url.Error{Op: "Post", URL: "https://hush", Err: context.DeadlineExceeded}); got != "there was no answer in time" {
		t.Errorf("got %q", got)
	}
	u, _ := url.Parse("https://me:hush@x.example:99/hush?key=hush#hush")
	if got := Place(u); got != "https://x.example:99" || strings.Contains(got, "hush") {
		t.Errorf("got %q", got)
	}
}
