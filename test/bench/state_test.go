package main

import (
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri/internal/journal"
)

func TestStateFolds(t *testing.T) {
	got := journal.NewState()
	for e := range (state{queued: 5, sessions: 3, retained: 4}).entries(time.Unix(1, 0)) {
		if err := got.Apply(e); err != nil {
			t.Fatal(err)
		}
	}
	if got.Ignored != 0 {
		t.Errorf("got %d entries that were ignored, want none", got.Ignored)
	}
	if got, want := len(got.Sessions), 4; got != want {
		t.Errorf("got %d Sessions, want %d", got, want)
	}
	if got, want := len(got.Retained), 4; got != want {
		t.Errorf("got %d Retained Messages, want %d", got, want)
	}
	if got, want := len(got.Sessions[queueClient].Deliveries()), 5; got != want {
		t.Errorf("got %d messages in the queue, want %d", got, want)
	}
	for clientID, s := range got.Sessions {
		if len(s.Subscriptions) != 1 || s.Closed == 0 {
			t.Errorf("%s: got %d Subscriptions, closed at %d; want 1, and closed", clientID, len(s.Subscriptions), s.Closed)
		}
	}
}
