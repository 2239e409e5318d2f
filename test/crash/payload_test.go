package main

import "testing"

func TestPayload(t *testing.T) {
	for sequence := range 500 {
		id := messageID{sequence % 7, sequence}
		b := payload(id)
		got, err := readPayload(b)
		if err != nil || got != id {
			t.Fatalf("got %v, %v, want %v", got, err, id)
		}
		if _, err := readPayload(b[:len(b)-1]); err == nil {
			t.Errorf("message %d without its last byte: got no error", sequence)
		}
		b[len(b)-1] ^= 1
		if _, err := readPayload(b); err == nil {
			t.Errorf("message %d with a byte changed: got no error", sequence)
		}
	}
	if _, err := readPayload([]byte("round 1")); err == nil {
		t.Error("a payload without a number: got no error")
	}
}
